"""From the predictions of a task's fine-tunes to scores: the rows' labels and every model's
predictions go in; a score a model comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np

from distill.evaluation.draws import draw_for
from distill.evaluation.protocol import Measured
from distill.evaluation.resampling import Observed, observe
from distill.evaluation.scores import Reference, score_models
from distill.evaluation.statistics import Statistic, statistic_of
from distill.evaluation.tasks import TaskRows
from distill.recipe import FineTunedTask
from distill.report.results.evaluation import Provenance, Score

_NORMAL = 1.96
"""What EuroEval multiplies standard errors by."""


def score_task(
    task: FineTunedTask,
    metric: str,
    rows: TaskRows,
    measurements: Mapping[str, Measured],
    of: Reference,
    chance: float | None,
) -> list[Score]:
    """Every model's score under a metric."""
    every_row = range(len(rows.test))
    statistics = {
        name: seed_statistics(task, metric, rows, measured, every_row)
        for name, measured in measurements.items()
    }
    observed = {
        name: observe(by_seed, len(every_row), of.seed, has_seeds=measurements[name].has_seeds)
        for name, by_seed in statistics.items()
    }
    provenance = {
        name: provenance_of(rows, measured, every_row) for name, measured in measurements.items()
    }
    scores = score_models(task.name, metric, observed, of, chance, provenance)
    if of.protocol == "euroeval":
        scores = [
            replace(
                measured, euroeval=_euroeval(statistics[measured.model], rows, task.name, of.seed)
            )
            for measured in scores
        ]
    return [with_learning(score, measurements[score.model]) for score in scores]


def seed_statistics(
    task: FineTunedTask, metric: str, rows: TaskRows, measured: Measured, places: range
) -> list[Statistic]:
    """The metric of each seed's predictions for the test rows at those places."""
    test = rows.test[places.start : places.stop]
    return [
        statistic_of(task, metric, test, predictions[places.start : places.stop])
        for predictions in measured.predictions
    ]


def observe_seeds(
    task: FineTunedTask, metric: str, rows: TaskRows, measured: Measured, places: range, seed: int
) -> Observed:
    """The same on the whole of those rows and in bootstraps of them."""
    statistics = seed_statistics(task, metric, rows, measured, places)
    return observe(statistics, len(places), seed, has_seeds=measured.has_seeds)


def provenance_of(rows: TaskRows, measured: Measured, places: range) -> Provenance:
    """How a score of these fine-tunes was come by."""
    return Provenance(
        test_rows=len(places),
        train_rows=len(rows.train),
        distinct_train_rows=len({row.content for row in rows.train}),
        rate_at_edge=measured.rate_at_edge,
        precision=measured.precision,
        runtime=measured.runtime,
        threads=measured.threads,
        commit=measured.commit,
    )


def with_learning(score: Score, measured: Measured) -> Score:
    """The score with what dev said."""
    return replace(score, learning_rate=measured.learning_rate, dev=fmean(measured.dev))


def _euroeval(
    statistics: list[Statistic], rows: TaskRows, task: str, seed: int
) -> tuple[float, float, float]:
    """EuroEval's mean over seeds, each scored on its own draw of test rows, and its interval."""
    values = []
    for number, statistic in enumerate(statistics):
        drawn = draw_for(rows, seed, task, number, "euroeval").test
        weights = np.bincount(drawn, minlength=len(rows.test)).astype(np.float64)
        values.append(float(statistic(weights[None])[0]))
    half = _NORMAL * stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    mean = fmean(values)
    return mean, mean - half, mean + half
