"""What may stand for a model: its name, itself, or itself with its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from distill.models import LoadedModel
    from distill.runtime.progress import Progress

Pair: TypeAlias = "tuple[PreTrainedModel, PreTrainedTokenizerBase]"
Model: TypeAlias = "str | Pair | LoadedModel"
"""A Hub id, a folder, `package:NAME`, or a model with its tokenizer in memory."""


def load(model: Model | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> LoadedModel:
    """The model with its tokenizer. Raises UserError if it cannot be had."""
    from distill.models import LoadedModel, load_with_tokenizer

    if isinstance(model, LoadedModel):
        return model
    if isinstance(model, str):
        return load_with_tokenizer(model)
    if isinstance(model, tuple):
        return LoadedModel(model=model[0], tokenizer=model[1])
    if tokenizer is None:
        raise UserError("a model in memory needs its tokenizer: give both.")
    return LoadedModel(model=model, tokenizer=tokenizer)


def by_name(models: Mapping[str, Model] | Sequence[str] | str) -> dict[str, Model]:
    """Models under the names that results give them; a single name stands for itself."""
    if isinstance(models, str):
        return {models: models}
    return dict(models) if isinstance(models, Mapping) else {name: name for name in models}


def display(progress: bool | None) -> Progress:
    """Progress on standard error: shown, hidden, or (None) shown to a terminal or a notebook."""
    from distill.runtime.progress import Progress

    shown = Progress()
    if progress is None:
        progress = shown.console.is_terminal or shown.console.is_jupyter
    return shown if progress else Progress(quiet=True)
