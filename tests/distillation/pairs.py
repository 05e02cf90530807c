"""The tiny teacher with the student that tests distil from it."""

from __future__ import annotations

from pathlib import Path

from distill.distillation.loop import Pair
from distill.models import load_with_tokenizer
from distill.student.depth import keep_layers

LAYERS = [2, 4]


def tiny_pair(teacher: Path) -> Pair:
    """The teacher of that folder, loaded anew, and a copy of its second and fourth layer."""
    loaded = load_with_tokenizer(str(teacher))
    return Pair(
        student=keep_layers(loaded.model, LAYERS),
        teacher=loaded.model,
        tokenizer=loaded.tokenizer,
        layers=LAYERS,
        pooling="mean",
    )
