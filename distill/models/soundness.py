"""Whether a model is what its files say: weights that are there, finite, and a tokenizer that was
not rebuilt into another.

transformers loads more than it should: a weight that is missing is drawn at random, and a tokenizer
is built anew by its class, whatever tokenizer.json says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NOT_NEEDED = re.compile(r"(^|\.)(pooler|cls\.seq_relationship|position_ids)(\.|$)")
"""Weights that a bare checkpoint may lack: nothing here reads what a pooler computes."""
SHOWN = 3
PROBES = 200
LEAST_AGREEMENT = 0.5
"""Share of probes that a tokenizer and its own tokenizer.json must split alike.

They may differ a little: transformers builds XLM-R's pipeline anew, with other white space.
"""


def missing_from_encoder(model: PreTrainedModel, missing: Iterable[str]) -> list[str]:
    """Those of the `missing` weights that the encoder computes with."""
    encoder = {name for name, _ in model.base_model.named_parameters()}
    prefix = f"{model.base_model_prefix}."
    return sorted(
        name
        for name in missing
        if name.removeprefix(prefix) in encoder and not NOT_NEEDED.search(name)
    )


def tied_names(model: PreTrainedModel) -> list[str]:
    """Weights of the head that are the embeddings again, or zeros, and stand in no file."""
    tied = getattr(model, "_tied_weights_keys", None) or []
    return [*tied, *(name for name, _ in model.named_parameters() if name.endswith("decoder.bias"))]


def check_present(name: str, model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Nothing if the file had the encoder's weights. Raises UserError naming those it lacks."""
    if lacking := missing_from_encoder(model, missing):
        total = sum(1 for _ in model.base_model.parameters())
        raise UserError(
            f"{name} lacks {len(lacking)} of the {total} weights that its config.json asks for "
            f"({shortened(lacking)}); they would be random. Its weights have other names, or are "
            "of another architecture.",
            key="teacher.model",
        )


def check_finite(name: str, model: PreTrainedModel) -> None:
    """Nothing if every weight is a finite number. Raises UserError naming the tensor with one that
    is not.
    """
    for tensor_name, tensor in model.named_parameters():
        # The sum of finite numbers is finite, but for an overflow, which the slower look rules out.
        if not tensor.sum().isfinite() and not (finite := tensor.isfinite()).all():
            raise UserError(
                f"{name}: {int((~finite).sum()):,} of the numbers in {tensor_name} are not finite; "
                "the weights are damaged, or training them diverged.",
                key="teacher.model",
            )


def check_tokenizer(name: str, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing if the loaded `tokenizer` splits words as the folder's tokenizer.json does, or there
    is none.

    Raises UserError that names the class to declare, where the class declared, or guessed, made
    another tokenizer of it.
    """
    file = folder / "tokenizer.json"
    if not file.is_file() or not getattr(tokenizer, "is_fast", False):
        return
    from tokenizers import Tokenizer

    try:
        own = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{file} cannot be read ({error}); save the tokenizer again.", key="teacher.model"
        ) from error
    words = probe_words(own.get_vocab(with_added_tokens=False))
    loaded = tokenizer.backend_tokenizer
    same = [loaded.encode(word).ids == own.encode(word).ids for word in words]
    if words and sum(same) < LEAST_AGREEMENT * len(words):
        example = words[same.index(False)]
        raise UserError(
            f"{name}: its tokenizer.json splits {example!r} into "
            f"{' '.join(own.encode(example).tokens)}, and as loaded by transformers it is "
            f"{' '.join(loaded.encode(example).tokens)}: {declared(folder, tokenizer)}. Set "
            '"tokenizer_class": "PreTrainedTokenizerFast" in its tokenizer_config.json.',
            key="teacher.model",
        )


def probe_words(vocabulary: Iterable[str]) -> list[str]:
    """Words made of a tokenizer's own pieces, two of them each, the same at every call."""
    letters = sorted(
        {stripped for piece in vocabulary if (stripped := piece.strip("▁Ġ#")).isalpha()}
    )
    step = max(1, len(letters) // PROBES)
    chosen = letters[::step][:PROBES]
    return [" ".join(pair) for pair in zip(chosen, reversed(chosen), strict=True)]


def declared(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """Which class the folder declares for its tokenizer, or which one was guessed."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        given = config.get("tokenizer_class")
    except (OSError, ValueError, AttributeError):
        given = None
    if given:
        return f"its tokenizer_config.json declares {given}"
    return f"its tokenizer_config.json declares no class, and {type(tokenizer).__name__} was taken"


def shortened(names: Sequence[str]) -> str:
    """The first few of the names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
