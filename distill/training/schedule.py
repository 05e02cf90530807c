"""The learning rate along a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.recipe import DistillationSection

if TYPE_CHECKING:
    pass


def learning_rate_at(share: float, section: DistillationSection) -> float:
    """The learning rate when `share` of the token budget is used: a linear rise, then a linear fall
    to zero.
    """
    if share < section.warmup:
        return section.learning_rate * min(1.0, max(share, 1e-3) / section.warmup)
    return section.learning_rate * max(0.0, (1.0 - share) / (1.0 - section.warmup))
