"""Learning rates: a linear rise, then a linear fall to zero."""

from __future__ import annotations

from distill.recipe import DistillationSection

_LEAST_SHARE = 1e-3
"""The first steps' share of the budget: with none at all nothing would be learnt."""


def learning_rate_at(share: float, section: DistillationSection) -> float:
    """The rate when `share` of a budget of tokens is used."""
    if share < section.warmup:
        return section.learning_rate * min(1.0, max(share, _LEAST_SHARE) / section.warmup)
    return section.learning_rate * max(0.0, (1.0 - share) / (1.0 - section.warmup))


def learning_rate_of_step(step: int, steps: int, highest: float, warmup: float) -> float:
    """The rate of a step, counted from 0, of a fine-tune; `warmup` is a share of all steps."""
    rising = warmup * steps
    if step < rising:
        return highest * (step + 1) / (rising + 1)
    return highest * (steps - step) / max(1.0, steps - rising)
