"""Whether a model computes anything: a config can be read and built, and fail at the first text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST = 5
"""Tokens of the rehearsal."""
MOST_LABELS = 1_000_000


def check_labels(name: str, folder: Path) -> None:
    """Nothing unless config.json asks for more labels than anybody has, for each of which
    transformers makes up a name. Raises UserError.
    """
    try:
        labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_labels"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # what can be read of it is told by its reader
    if isinstance(labels, int) and labels > MOST_LABELS:
        raise UserError(
            f"{name} has num_labels {labels:,} in its config.json; it should be at most "
            f"{MOST_LABELS:,}.",
            key="teacher.model",
        )


def check_computes(name: str, model: PreTrainedModel) -> None:
    """Nothing if the encoder gives hidden states of a few pieces. Raises UserError with what it
    says instead.
    """
    import torch

    pieces = torch.arange(min(LONGEST, int(model.config.vocab_size)))[None].to(model.device)
    try:
        with torch.no_grad():
            output = model.base_model(input_ids=pieces, output_hidden_states=True)
        states = output.hidden_states
        reason = "it gives no hidden states" if states is None else None
    except Exception as error:  # whatever a model's code raises is about its config
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if reason is not None:
        raise UserError(
            f"{name} cannot compute what its config.json describes ({reason}); check the keys that "
            "were set by hand.",
            key="teacher.model",
        )


def check_length(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing if the longest input that the tokenizer names is a number. Raises UserError."""
    longest = tokenizer.model_max_length
    if not isinstance(longest, int | float) or isinstance(longest, bool) or not longest >= 1:
        raise UserError(
            f"{name} has model_max_length {longest!r:.60} in its tokenizer_config.json; it should "
            "be a whole number above 0.",
            key="teacher.model",
        )
