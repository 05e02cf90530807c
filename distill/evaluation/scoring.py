"""A task's rows and predictions for them go in; every metric of the task comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distill.evaluation.metrics import CLASSES, NUMBERS, SETS, entity_f1
from distill.evaluation.tasks import Row
from distill.recipe import FineTunedTask, MultilabelTask, SimilarityTask, TokensTask

Prediction = str | float | tuple[str, ...]
"""A class, several, a number, or a class a word, as a row's label."""


def measure(
    task: FineTunedTask, rows: Sequence[Row], predictions: Sequence[Prediction]
) -> dict[str, float]:
    """Each metric of the task, of the rows in the order given."""
    if isinstance(task, SimilarityTask):
        gold, predicted = (
            np.array(values, dtype=np.float64)
            for values in ([row.label for row in rows], list(predictions))
        )
        return {metric: NUMBERS[metric](gold, predicted) for metric in task.metrics}
    if isinstance(task, MultilabelTask):
        sets = [
            set(prediction) if isinstance(prediction, tuple) else {str(prediction)}
            for prediction in predictions
        ]
        truth = [set(row.names) for row in rows]
        return {metric: SETS[metric](truth, sets) for metric in task.metrics}
    named = [(name,) if isinstance(name, str) else name for name in predictions]
    gold = np.array([name for row in rows for name in row.names])
    predicted = np.array(
        [name for names in named if not isinstance(names, float) for name in names]
    )
    scores = {
        metric: CLASSES[metric](gold, predicted) for metric in task.metrics if metric in CLASSES
    }
    if isinstance(task, TokensTask) and "entity_f1" in task.metrics:
        scores["entity_f1"] = entity_f1([row.names for row in rows], named)  # type: ignore[arg-type]
    return {metric: scores[metric] for metric in task.metrics}
