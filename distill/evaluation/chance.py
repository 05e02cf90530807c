"""What guessing scores: a task's rows go in; the chance level of a metric on them comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distill.evaluation.metrics import PER_QUERY
from distill.evaluation.scoring import Prediction, measure
from distill.evaluation.tasks import Row
from distill.recipe import FineTunedTask, MultilabelTask, SimilarityTask

_SHUFFLES = 20


def chance_levels(
    task: FineTunedTask, test: Sequence[Row], majority: str | None, seed: int
) -> dict[str, float]:
    """For each metric the better of two guesses: the training rows' most frequent class every time,
    or the test rows' own labels in random order; of texts that can have several classes also every
    class every time. A number that is guessed tells nothing: 0.
    """
    if isinstance(task, SimilarityTask) or majority is None:
        return dict.fromkeys(task.metrics, 0.0)
    random = np.random.default_rng([seed, *task.name.encode()])
    guess = _guesses_of_several if isinstance(task, MultilabelTask) else _guesses
    constant, shuffled = guess(test, majority, random)
    scores = [measure(task, test, labels) for labels in constant]
    drawn = [measure(task, test, labels) for labels in shuffled]
    return {
        metric: max(
            0.0,
            *(values[metric] for values in scores),
            float(np.mean([values[metric] for values in drawn])),
        )
        for metric in task.metrics
    }


Guesses = tuple[list[list[Prediction]], list[list[Prediction]]]
"""The same classes for every row, in each way; and the rows' own in random orders."""


def _guesses(test: Sequence[Row], majority: str, random: np.random.Generator) -> Guesses:
    constant = [_like(row, [majority] * len(row.names)) for row in test]
    return [constant], [_shuffled(test, random) for _ in range(_SHUFFLES)]


def _guesses_of_several(test: Sequence[Row], majority: str, random: np.random.Generator) -> Guesses:
    every = tuple(sorted({name for row in test for name in row.names}))
    labels = [row.names for row in test]
    orders = [random.permutation(len(labels)) for _ in range(_SHUFFLES)]
    constant: list[list[Prediction]] = [[guess] * len(test) for guess in ((majority,), every)]
    return constant, [[labels[i] for i in order] for order in orders]


def retrieval_chance(metric: str, passages: int) -> float:
    """The mean over all ranks that an answer can have."""
    return float(PER_QUERY[metric](np.arange(1, passages + 1)).mean())


def _shuffled(rows: Sequence[Row], random: np.random.Generator) -> list[Prediction]:
    names = iter(random.permutation([name for row in rows for name in row.names]).tolist())
    return [_like(row, [next(names) for _ in row.names]) for row in rows]


def _like(row: Row, names: list[str]) -> Prediction:
    """A guess of the form that the row's label has."""
    return tuple(names) if isinstance(row.label, tuple) else names[0]
