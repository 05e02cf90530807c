"""Scores with intervals, and what evaluation returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """How a score was come by."""

    test_rows: int
    """Sentences, where words have classes; queries of retrieval."""
    train_rows: int | None = None
    """Those each fine-tune learnt from; None of models as they are."""
    distinct_train_rows: int | None = None
    rate_at_edge: bool | None = None
    """Whether no higher, or no lower, learning rate was tried than the one chosen."""
    precision: str | None = None
    runtime: str | None = None
    threads: int | None = None
    commit: str | None = None
    """Of distill's own code when it was measured; None outside a checkout."""
    file: str | None = None
    """Of the student in int8 as it is: a hash of the ONNX file that was run, which is export's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One model on one task under one metric; `low` and `high` bound the 95% interval."""

    model: str
    task: str
    metric: str
    scores: list[float]
    """On the whole test set, one for each seed; of a task without fine-tuning the only one."""
    mean: float | None
    low: float | None
    high: float | None
    retention: float | None
    """(mean - chance) / (the reference's mean - chance)."""
    error: float | None = None
    """The mean's standard error: rows and seeds together."""
    freedom: float | None = None
    """That error's degrees of freedom."""
    chance: float | None = None
    """What guessing scores on the test set."""
    difference: float | None = None
    """The mean difference from the reference, on the same rows and seeds."""
    difference_low: float | None = None
    difference_high: float | None = None
    difference_error: float | None = None
    difference_freedom: float | None = None
    equivalent: bool | None = None
    """Whether the difference's 90% interval lies within the recipe's margin."""
    retention_low: float | None = None
    retention_high: float | None = None
    retention_error: float | None = None
    retention_freedom: float | None = None
    learning_rate: float | None = None
    """The one that dev chose."""
    dev: float | None = None
    """The mean over seeds of the task's first metric on dev, at that learning rate."""
    reason: str | None = None
    """Why something is not measured."""
    provenance: Provenance | None = None
    euroeval: tuple[float, float, float] | None = None
    """Mean and 95% interval as EuroEval takes them: 1.96 standard errors over its draws of rows."""
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
class SplitOverlap:
    """Rows of a split that also stand in the text of the distillation."""

    rows: int
    exact: int
    """Those that stand there whole, word for word."""
    shared: int
    """Those that share 12 words in a row with it; shorter ones stand there whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """The same of a task."""

    train: SplitOverlap | None = None
    """Rows of train and dev; None where there are none."""
    test: SplitOverlap | None = None


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
    overlap: dict[str, Overlap] | None = None
    """By task; None where nothing was distilled."""
    margin: float = 0.02
    """Differences within it count as none."""
