"""From measurements to scores: means, 95% intervals, differences from a reference, mostly the
teacher, and retention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from distill.report.results.evaluation import Score

LEVEL = 0.95
_RESAMPLES = 2000
TEACHER = "the teacher"
"""What a reader knows as the reference, unless something else is."""


def student_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the mean (Student 1908); None for fewer than two values, which tell no
    spread.
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = (
        float(t.ppf((1 + level) / 2, len(values) - 1))
        * float(np.std(values, ddof=1))
        / len(values) ** 0.5
    )
    mean = float(np.mean(values))
    return mean - half, mean + half


def bootstrap_interval(values: np.ndarray, seed: int, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of the mean of `values` (Efron & Tibshirani 1993, chapter 13)."""
    return statistic_interval(lambda rows: float(values[rows].mean()), len(values), seed, level)


def statistic_interval(
    statistic: Callable[[np.ndarray], float], rows: int, seed: int, level: float = LEVEL
) -> tuple[float, float]:
    """The percentile interval of any statistic of `rows` rows, which is handed the numbers of those
    drawn.
    """
    random = np.random.default_rng(seed)
    found = [statistic(random.integers(rows, size=rows)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def seed_score(
    model: str,
    task: str,
    metric: str,
    own: Sequence[float],
    reference: Sequence[float] | None,
    learning_rate: float | None,
    called: str = TEACHER,
) -> Score:
    """Of fine-tunes, one a seed: mean and difference from the reference's of the same seeds, with
    Student's intervals.
    """
    low, high = student_interval(own) or (None, None)
    mean = float(np.mean(own))
    differences = (
        None if reference is None else [a - b for a, b in zip(own, reference, strict=True)]
    )
    difference_low, difference_high = (differences and student_interval(differences)) or (
        None,
        None,
    )
    retention, reason = retention_of(
        mean, None if reference is None else float(np.mean(reference)), called
    )
    return Score(
        model=model,
        task=task,
        metric=metric,
        scores=list(own),
        mean=mean,
        low=low,
        high=high,
        retention=retention,
        difference=None if differences is None else float(np.mean(differences)),
        difference_low=difference_low,
        difference_high=difference_high,
        learning_rate=learning_rate,
        reason="one seed tells no spread" if low is None else reason,
    )


def query_score(
    model: str,
    task: str,
    metric: str,
    own: np.ndarray,
    reference: np.ndarray | None,
    seed: int,
    called: str = TEACHER,
) -> Score:
    """Of a mean over queries."""
    return row_score(
        model, task, metric, own, reference, seed, called, lambda values: float(values.mean())
    )


def share_score(
    model: str,
    task: str,
    metric: str,
    own: np.ndarray,
    reference: np.ndarray | None,
    seed: int,
    called: str = TEACHER,
) -> Score:
    """Of a share, counted as [rows, (hits, of)]."""

    def share(counts: np.ndarray) -> float:
        hits, of = counts.sum(axis=0)
        return float(hits / of) if of else 0.0

    return row_score(model, task, metric, own, reference, seed, called, share)


def row_score(
    model: str,
    task: str,
    metric: str,
    own: np.ndarray,
    reference: np.ndarray | None,
    seed: int,
    called: str,
    statistic: Callable[[np.ndarray], float],
) -> Score:
    """Of any statistic of rows, the first axis of `own`: with intervals bootstrapped over rows,
    those of the difference over the same draws.
    """
    mean, whole = statistic(own), None if reference is None else statistic(reference)
    low, high = statistic_interval(lambda rows: statistic(own[rows]), len(own), seed)
    retention, reason = retention_of(mean, whole, called)
    difference_low = difference_high = None
    if reference is not None:
        other = reference
        difference_low, difference_high = statistic_interval(
            lambda rows: statistic(own[rows]) - statistic(other[rows]), len(own), seed
        )
    return Score(
        model=model,
        task=task,
        metric=metric,
        scores=[mean],
        mean=mean,
        low=low,
        high=high,
        retention=retention,
        difference=None if whole is None else mean - whole,
        difference_low=difference_low,
        difference_high=difference_high,
        reason=reason,
    )


def no_score(model: str, task: str, metric: str, reason: str) -> Score:
    """What could not be measured, and why."""
    return Score(
        model=model,
        task=task,
        metric=metric,
        scores=[],
        mean=None,
        low=None,
        high=None,
        retention=None,
        reason=reason,
    )


def retention_of(
    mean: float, reference: float | None, called: str = TEACHER
) -> tuple[float | None, str | None]:
    """The fraction of the reference's mean, or why there is none; none of a mean below 0 either."""
    if reference is None:
        return None, f"{called} was not evaluated"
    if reference == 0:
        return None, f"{called} scores 0"
    if reference < 0:
        return None, f"{called} scores below 0"
    return mean / reference, None
