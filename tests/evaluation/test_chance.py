from __future__ import annotations

import numpy as np
import pytest

from distill.evaluation.chance import chance_levels, retrieval_chance
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks
from distill.evaluation.tasks import Row
from distill.recipe import ClassificationTask, SimilarityTask

TASK = ClassificationTask.model_validate(
    {
        "name": "toy",
        "kind": "classification",
        "train": {"path": "a"},
        "test": {"path": "b"},
        "metrics": ["accuracy", "macro_f1", "mcc"],
    }
)
NUMBERS = SimilarityTask.model_validate(
    {"name": "toy", "kind": "similarity", "train": {"path": "a"}, "test": {"path": "b"}}
)


def rows(**counts: int) -> list[Row]:
    return [Row(text="x", label=name) for name, count in counts.items() for _ in range(count)]


def test_the_most_frequent_class_is_a_guess() -> None:
    levels = chance_levels(TASK, rows(a=90, b=10), "a", 0)
    assert levels["accuracy"] == pytest.approx(0.9)
    assert levels["mcc"] == pytest.approx(0, abs=0.05)


def test_of_many_classes_alike_labels_at_random_are_the_better_guess_of_f1() -> None:
    levels = chance_levels(TASK, rows(a=100, b=100, c=100, d=100), "a", 0)
    assert levels["macro_f1"] == pytest.approx(0.25, abs=0.03)


def test_a_guessed_number_tells_nothing() -> None:
    test = [Row(text="a", text_pair="b", label=1.0)]
    assert set(chance_levels(NUMBERS, test, None, 0).values()) == {0.0}


def test_retrieval_by_vectors_at_random_scores_its_chance() -> None:
    random = np.random.default_rng(0)
    passages = random.normal(size=(50, 30))
    ranks = ranks_by_vectors(
        random.normal(size=(4000, 30)), passages, random.integers(50, size=4000)
    )
    assert reciprocal_ranks(ranks).mean() == pytest.approx(retrieval_chance("mrr@10", 50), rel=0.1)
