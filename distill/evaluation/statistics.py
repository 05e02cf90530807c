"""Metrics as functions of how often each row counts: gold values and predictions go in; a function
of weights comes out, which gives the metric of many bootstraps at once.

With every weight 1 each gives what `metrics.py` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import coo_array

from distill.evaluation.scoring import Prediction
from distill.evaluation.tasks import Row
from distill.recipe import FineTunedTask, MultilabelTask, SimilarityTask

Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights of rows [draws, N] go in; the metric of each draw [draws] comes out."""


def statistic_of(
    task: FineTunedTask, metric: str, rows: Sequence[Row], predictions: Sequence[Prediction]
) -> Statistic:
    """A metric of a fine-tuned task; rows are sentences where words have classes."""
    if isinstance(task, SimilarityTask):
        gold = np.array([row.label for row in rows], dtype=np.float64)
        return NUMBERS[metric](gold, np.array(predictions, dtype=np.float64))
    named = [
        (prediction,) if isinstance(prediction, str) else prediction for prediction in predictions
    ]
    if isinstance(task, MultilabelTask):
        return set_statistic(metric, [row.names for row in rows], named)  # type: ignore[arg-type]
    if metric == "entity_f1":
        return entity_statistic([row.names for row in rows], named)  # type: ignore[arg-type]
    return class_statistic(metric, [row.names for row in rows], named)  # type: ignore[arg-type]


def mean_statistic(values: np.ndarray) -> Statistic:
    """The mean of what each row contributes."""
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def share_statistic(counts: np.ndarray) -> Statistic:
    """The share of hits, counted as [N, (hits, of)]; 0 of nothing."""

    def share(weights: np.ndarray) -> np.ndarray:
        hits, of = (weights @ counts).T
        return _ratio(hits, of)

    return share


def class_statistic(
    metric: str, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> Statistic:
    """A metric of classes, one or several a row. It needs no more of a draw than how often each
    class is right, is there, and is predicted.
    """
    right = [
        [truth for truth, answer in zip(*both, strict=True) if truth == answer]
        for both in zip(gold, predicted, strict=True)
    ]
    return _counted_statistic(_CLASSES[metric], right, gold, predicted)


def set_statistic(
    metric: str, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> Statistic:
    """A metric of rows that have none, one or several classes each."""
    right = [sorted({*truth} & {*answer}) for truth, answer in zip(gold, predicted, strict=True)]
    return _counted_statistic(_SETS[metric], right, gold, predicted)


def _counted_statistic(
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    right: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
) -> Statistic:
    """A metric of how often each class is right, is there, and is predicted; those of each row."""
    names = {
        name: i for i, name in enumerate(sorted({n for row in (*gold, *predicted) for n in row}))
    }
    count = len(names)
    entries = [
        (row, side * count + names[name])
        for side, lists in enumerate((right, gold, predicted))
        for row, labels in enumerate(lists)
        for name in labels
    ]
    rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    table = coo_array(
        (np.ones(len(columns)), (rows, columns)), shape=(len(gold), 3 * count)
    ).tocsr()  # equal places are added up

    def value(weights: np.ndarray) -> np.ndarray:
        sums = (table.T @ weights.T).T
        return measure(sums[:, :count], sums[:, count : 2 * count], sums[:, 2 * count :])

    return value


def entity_statistic(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> Statistic:
    """F1 of whole entities of IOB2 tags (Tjong Kim Sang & De Meulder 2003); rows are sentences."""
    from seqeval.metrics.sequence_labeling import get_entities

    sides = [[set(get_entities(list(tags))) for tags in side] for side in (gold, predicted)]
    counts = np.array(
        [
            [len(truth & answer), len(truth) + len(answer)]
            for truth, answer in zip(*sides, strict=True)
        ],
        dtype=np.float64,
    )

    def value(weights: np.ndarray) -> np.ndarray:
        hits, of = (weights @ counts).T
        return _ratio(2 * hits, of)

    return value


def pearson_statistic(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Pearson's correlation; 0 where one side is constant or no number."""
    if not np.isfinite(predicted).all():
        return lambda weights: np.zeros(len(weights))
    x, y = _standardised(gold), _standardised(predicted)
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def value(weights: np.ndarray) -> np.ndarray:
        return _correlation((weights @ moments) / weights.sum(axis=1, keepdims=True))

    return value


def spearman_statistic(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Spearman's rank correlation; 0 where one side is constant or no number."""
    if not np.isfinite(predicted).all():
        return lambda weights: np.zeros(len(weights))

    def value(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1, keepdims=True)
        x, y = (_ranks(side, weights) / total - 0.5 for side in (gold, predicted))
        products = (x, y, x * x, y * y, x * y)
        return _correlation(
            np.stack([(weights * product).sum(1) for product in products], 1) / total
        )

    return value


def interval_alpha_statistic(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Krippendorff's alpha of numbers (Krippendorff 2011, section D, interval difference)."""
    if not np.isfinite(predicted).all():
        return lambda weights: np.zeros(len(weights))
    centre = np.concatenate([gold, predicted]).mean()
    x, y = gold - centre, predicted - centre
    sums = np.stack([(x - y) ** 2, x + y, x * x + y * y], axis=1)

    def value(weights: np.ndarray) -> np.ndarray:
        rows = weights.sum(axis=1)
        apart, total, squares = (weights @ sums).T
        variance = (squares - total**2 / (2 * rows)) / (2 * rows - 1)
        return _alpha(apart / rows, 2 * variance)

    return value


NUMBERS: dict[str, Callable[[np.ndarray, np.ndarray], Statistic]] = {
    "pearson": pearson_statistic,
    "spearman": spearman_statistic,
    "alpha": interval_alpha_statistic,
}
"""Metrics of numbers."""


def _accuracy(right: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(right.sum(1), gold.sum(1))


def _macro_f1(right: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    there = gold + predicted
    return _ratio(_ratio(2 * right, there).sum(1), (there > 0).sum(1))


def _mcc(right: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Gorodkin (2004), by the margins of the confusion matrix."""
    rows = gold.sum(1)
    together = right.sum(1) * rows - (gold * predicted).sum(1)
    alone = (rows**2 - (gold**2).sum(1)) * (rows**2 - (predicted**2).sum(1))
    return _ratio(together, np.sqrt(np.maximum(alone, 0)))


def _nominal_alpha(right: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Krippendorff (2011), section C."""
    counts, rows = gold + predicted, gold.sum(1)
    pairs = 2 * rows * (2 * rows - 1)
    return _alpha(1 - right.sum(1) / rows, 1 - (counts * (counts - 1)).sum(1) / pairs)


def _micro_f1(right: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(2 * right.sum(1), gold.sum(1) + predicted.sum(1))


_SETS = {"macro_f1": _macro_f1, "micro_f1": _micro_f1}
_CLASSES = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "mcc": _mcc,
    "alpha": _nominal_alpha,
}


def _ratio(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The part of the whole; 0 where that is nothing."""
    ratio: np.ndarray = np.divide(
        part, total, out=np.zeros_like(part, dtype=np.float64), where=total > 0
    )
    return ratio


def _alpha(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """1 without disagreement, 0 by chance; without any variation there is none."""
    return 1 - _ratio(observed, np.where(expected > _NOTHING, expected, 0))


_NOTHING = 1e-12
"""A variance below it, of standardised values, is what rounding leaves."""


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return np.asarray((values - values.mean()) / (spread if spread else 1))


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Of the means of x, y, xx, yy and xy."""
    x, y, xx, yy, xy = moments.T
    variances = np.maximum(xx - x * x, 0) * np.maximum(yy - y * y, 0)
    return _ratio(xy - x * y, np.sqrt(np.where(variances > _NOTHING, variances, 0)))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean rank of each row's value in each draw, [draws, N]; equal values share theirs."""
    _, position = np.unique(values, return_inverse=True)
    table = coo_array((np.ones(len(position)), (np.arange(len(position)), position))).tocsr()
    counts = (table.T @ weights.T).T
    middle = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return np.asarray(middle[:, position])
