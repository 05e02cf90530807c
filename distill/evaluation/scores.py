"""From what was observed of every model to scores: means, 95% intervals, differences from a
reference, mostly the teacher, and retention.

A score's variance has two parts: that of test rows, by bootstraps of the mean over seeds, which
does not shrink with more seeds; and that of seeds, pooled over the models of a task. Their sum has
Satterthwaite's (1946) degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distill.evaluation.resampling import Observed
from distill.recipe.model_reference import reference_in_words
from distill.report.estimates import Estimate, span_of
from distill.report.results.evaluation import Provenance, Score

_ONE_SEED = "one seed tells no spread"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What every model is compared with, and how."""

    name: str
    seed: int
    """Of bootstraps."""
    margin: float = 0.02
    """Differences within it count as none."""
    protocol: str = "distill"
    """Whose protocol the fine-tunes followed."""

    @property
    def label(self) -> str:
        """As a reader knows it: "the teacher"."""
        return reference_in_words(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seeds:
    """The variance between seeds, pooled over the models of a task."""

    plain: float
    """Of a model's values about their mean;"""
    plain_freedom: int
    """0 where no model has two seeds."""
    paired: float
    """and of what is left of it where seeds that all models share count as blocks (Fisher 1935):
    half the variance of a difference of two models on one seed.
    """
    paired_freedom: int

    @property
    def shared(self) -> float:
        """The variance of what a seed does to all models alike."""
        return max(0.0, self.plain - self.paired)

    def of_pair(
        self, observed: Observed, other: Observed, times: float
    ) -> tuple[float, int] | None:
        """The variance of `one` less so many times `other` on one seed, and its degrees of freedom;
        None where seeds change neither.
        """
        if observed.has_seeds and other.has_seeds:
            variance = (1 + times**2) * self.paired + (1 - times) ** 2 * self.shared
            return variance, self.paired_freedom
        if not observed.has_seeds and not other.has_seeds:
            return None
        return (1.0 if observed.has_seeds else times**2) * self.plain, self.plain_freedom


def score_models(
    task: str,
    metric: str,
    observed: Mapping[str, Observed],
    of: Reference,
    chance: float | None,
    provenance: Mapping[str, Provenance] | None = None,
) -> list[Score]:
    """Every model's score under a metric, in the order given, from the same bootstraps.

    `chance` is what guessing scores on the same rows; None where nobody can say.
    """
    reference = observed.get(of.name)
    seeds = _pooled([model.values for model in observed.values() if model.has_seeds])
    estimates = {name: _estimate(model, seeds) for name, model in observed.items()}
    scores = [
        _score(name, task, metric, model, estimates[name], chance)
        for name, model in observed.items()
    ]
    if provenance:
        scores = [replace(score, provenance=provenance.get(score.model)) for score in scores]
    if reference is None:
        return [_without_retention(score, f"{of.label} was not evaluated") for score in scores]
    others = {name: model for name, model in observed.items() if model is not reference}
    differences = {name: _difference(model, reference, seeds) for name, model in others.items()}
    floor = chance or 0.0
    if not _lowest(estimates[of.name], metric) > floor:
        why = (
            f"{of.label} does not do better than guessing on {task} ({metric}), which scores "
            f"{floor:.3f}"
        )
        return [
            _without_retention(_compared(score, differences.get(score.model), of), why)
            for score in scores
        ]
    retentions = {
        name: _retention(model, reference, floor, seeds) for name, model in others.items()
    }
    return [
        _kept(
            _compared(score, differences.get(score.model), of),
            retentions.get(score.model),
        )
        for score in scores
    ]


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


def _lowest(estimate: Estimate, metric: str) -> float:
    """The lower end of its interval; the figure itself where it has none."""
    if not np.isfinite(estimate.error):
        return estimate.value
    return estimate.interval(span_of(metric))[0]


def _pooled(values: Sequence[np.ndarray]) -> _Seeds:
    if not values:
        return _Seeds(plain=0.0, plain_freedom=0, paired=0.0, paired_freedom=0)
    table = np.stack(values)  # every model has every seed
    models, seeds = table.shape
    apart = table - table.mean(axis=1, keepdims=True)
    left = apart - apart.mean(axis=0)
    plain, paired = models * (seeds - 1), (models - 1) * (seeds - 1)
    return _Seeds(
        plain=float((apart**2).sum()) / plain if plain else 0.0,
        plain_freedom=plain,
        paired=float((left**2).sum()) / paired if paired else 0.0,
        paired_freedom=paired,
    )


def _estimate(observed: Observed, seeds: _Seeds) -> Estimate:
    """A model's mean over seeds."""
    value = float(observed.values.mean())
    of_a_seed = (seeds.plain, seeds.plain_freedom) if observed.has_seeds else None
    return _with_error(value, observed.draws, observed, of_a_seed)


def _difference(observed: Observed, reference: Observed, seeds: _Seeds) -> Estimate:
    """A model's mean difference from the reference, by pairs of rows and seeds."""
    value = float(observed.values.mean() - reference.values.mean())
    draws = observed.draws - reference.draws
    return _with_error(
        value, draws, _longer(observed, reference), seeds.of_pair(observed, reference, 1.0)
    )


def _retention(observed: Observed, reference: Observed, chance: float, seeds: _Seeds) -> Estimate:
    """A model's (mean - chance) / (reference - chance), its variance by the first terms of Taylor's
    series (the delta method).
    """
    above = float(reference.values.mean()) - chance
    kept = (float(observed.values.mean()) - chance) / above
    draws = (observed.draws - kept * reference.draws) / above
    of_seeds = seeds.of_pair(observed, reference, kept)
    of_a_seed = None if of_seeds is None else (of_seeds[0] / above**2, of_seeds[1])
    return _with_error(kept, draws, _longer(observed, reference), of_a_seed)


def _longer(observed: Observed, other: Observed) -> Observed:
    """That of both which says how many seeds there are."""
    return max(observed, other, key=lambda each: len(each.values))


def _with_error(
    value: float, draws: np.ndarray, observed: Observed, of_a_seed: tuple[float, int] | None
) -> Estimate:
    """A figure with the variance of rows and, where there are any, seeds, whose variance comes with
    its degrees of freedom; an error that is no number where seeds matter and nobody has two.
    """
    of_rows = float(draws.var(ddof=1))
    variance, freedom = of_a_seed or (0.0, 0)
    of_seeds = variance / len(observed.values)
    total = of_rows + of_seeds
    parts = of_rows**2 / max(1, observed.rows - 1)
    if freedom:
        parts += of_seeds**2 / freedom
    return Estimate(
        value=value,
        error=float("nan") if of_a_seed and not freedom else total**0.5,
        freedom=total**2 / parts if parts else max(1.0, observed.rows - 1.0),
    )


def _score(
    model: str,
    task: str,
    metric: str,
    observed: Observed,
    estimate: Estimate,
    chance: float | None,
) -> Score:
    span = span_of(metric)
    estimate = _not_certain(estimate, observed.rows, span) if span else estimate
    known = np.isfinite(estimate.error)
    low, high = estimate.interval(span) if known else (None, None)
    return Score(
        model=model,
        task=task,
        metric=metric,
        scores=observed.values.tolist(),
        mean=estimate.value,
        low=low,
        high=high,
        error=estimate.error if known else None,
        freedom=estimate.freedom if known else None,
        chance=chance,
        retention=None,
        reason=None if known else _ONE_SEED,
    )


def _not_certain(figure: Estimate, rows: int, span: tuple[float, float]) -> Estimate:
    """None or all of the rows, which every bootstrap repeats, is as sure as half a row more or
    less.
    """
    if figure.error != 0 or figure.value not in span:
        return figure
    share = (0.5 * (rows + 0.5)) ** 0.5 / (rows + 1) / rows**0.5
    return replace(figure, error=float((span[1] - span[0]) * share))


def _without_retention(score: Score, why: str) -> Score:
    return replace(score, reason=score.reason or why)


def _compared(score: Score, difference: Estimate | None, of: Reference) -> Score:
    if difference is None:  # the reference itself
        return replace(score, difference=0.0)
    known = np.isfinite(difference.error)
    low, high = difference.interval() if known else (None, None)
    span = span_of(score.metric)
    width = span[1] - span[0] if span else float("inf")
    return replace(
        score,
        difference=difference.value,
        difference_low=None if low is None else max(low, -width),
        difference_high=None if high is None else min(high, width),
        difference_error=difference.error if known else None,
        difference_freedom=difference.freedom if known else None,
        equivalent=difference.is_within(of.margin) if known else None,
    )


def _kept(score: Score, retention: Estimate | None) -> Score:
    if retention is None:  # the reference itself
        return replace(score, retention=1.0)
    known = np.isfinite(retention.error)
    low, high = retention.interval() if known else (None, None)
    return replace(
        score,
        retention=retention.value,
        retention_low=low,
        retention_high=high,
        retention_error=retention.error if known else None,
        retention_freedom=retention.freedom if known else None,
    )
