"""What may stand for a model: its name, itself, or itself with its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from distill.models import LoadedModel
    from distill.models.sentence_form import SentenceForm
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


def form_of(model: Model | PreTrainedModel, pooling: str | None) -> SentenceForm:
    """How a model makes sentence vectors: as the files of one that is named say, and by `pooling`.
    Raises UserError if the two contradict each other.
    """
    from distill.models.loading import sentence_folder
    from distill.models.pooling import POOLINGS
    from distill.models.sentence import check_sentence_files
    from distill.models.sentence_form import SentenceForm, teacher_form
    from distill.recipe import TeacherSection

    if pooling is not None and pooling not in POOLINGS:
        raise UserError(f"pooling: expected one of {', '.join(POOLINGS)}; found {pooling!r}.")
    if not isinstance(model, str):
        return SentenceForm(pooling=pooling or "mean")
    check_sentence_files(model, sentence_folder(model, "main"), pooling)
    given = {} if pooling is None else {"pooling": pooling}
    return teacher_form(TeacherSection.model_validate({"model": model, **given}))


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
