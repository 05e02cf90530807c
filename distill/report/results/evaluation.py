"""Scores with intervals, and what evaluation returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One model on one task under one metric; `low` and `high` bound the 95% interval."""

    model: str
    task: str
    metric: str
    scores: list[float]
    """One for each seed; of a task without fine-tuning the only one."""
    mean: float | None
    low: float | None
    high: float | None
    retention: float | None
    """The mean as a fraction of the reference's."""
    difference: float | None = None
    """The mean difference from the reference, on the same rows and seeds."""
    difference_low: float | None = None
    difference_high: float | None = None
    learning_rate: float | None = None
    """The one that dev chose."""
    reason: str | None = None
    """Why something is not measured."""
    base_task: str | None = None
    """Of a task in several languages, the task's name in the recipe;"""
    setting: str | None = None
    """how it is carried from language to language;"""
    language: str | None = None
    """and the language tested, None of the average over all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScratchFigures:
    """How the model without a teacher was trained."""

    tokens: int
    learning_rate: float
    """The one with the lowest loss on held-out text."""
    heldout_loss: dict[str, float | None]
    """In nats a masked piece, by learning rate; None where it was not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult:
    """Every score, and how many rows each task had."""

    scores: list[Score]
    rows: dict[str, int]
    """Test rows of each task."""
    counts: dict[str, dict[str, object]]
    """Of each fine-tuned task: rows by split, classes, rows left out, and by model those too long
    for it; of a task in several languages that of each language learnt from, and of all."""
    scratch: ScratchFigures | None = None
