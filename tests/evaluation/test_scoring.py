"""Guesses whose score is known by arithmetic get it from what scores every model."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distill.evaluation.scoring import measure
from distill.evaluation.tasks import Row, read_task
from distill.recipe import FineTunedTask


def task_of(kind: str, **keys: Any) -> FineTunedTask:
    given = {"name": "known", "kind": kind, "train": {"path": "a"}, "test": {"path": "b"}, **keys}
    task: FineTunedTask = TypeAdapter(FineTunedTask).validate_python(given)
    return task


def of_majority(share: float, classes: int) -> dict[str, Any]:
    """What guessing one class of that share everywhere scores: its F1 is 2 p / (1 + p), every
    other's 0.
    """
    return {"accuracy": share, "macro_f1": 2 * share / (1 + share) / classes, "mcc": 0.0}


def test_a_majority_guess_of_texts_gets_its_known_score() -> None:
    rows = [
        Row(text=str(i), label=label)
        for i, label in enumerate(["a"] * 70 + ["b"] * 20 + ["c"] * 10)
    ]
    task = task_of("classification", metrics=["macro_f1", "accuracy", "mcc"])
    assert measure(task, rows, ["a"] * 100) == pytest.approx(of_majority(0.7, 3))


def test_a_majority_guess_of_words_gets_its_known_score_and_finds_no_entity() -> None:
    sentence = Row(words=("Anna", "bor", "i", "Lund"), label=("B-PER", "O", "O", "B-LOC"))
    task = task_of("tokens", metrics=["entity_f1", "accuracy", "macro_f1"])
    known = of_majority(0.5, 3)
    found = measure(task, [sentence] * 5, [("O",) * 4] * 5)
    assert found == pytest.approx(
        {"entity_f1": 0.0, "accuracy": known["accuracy"], "macro_f1": known["macro_f1"]}
    )


def test_a_guess_at_the_mean_correlates_with_nothing_and_agrees_by_chance() -> None:
    numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    rows = [Row(text="", text_pair="", label=number) for number in numbers]
    task = task_of("similarity", metrics=["pearson", "spearman", "alpha"])
    # Krippendorff's alpha of n numbers and their mean is 1 / 2n: of 2n values half vary, over 2n -
    # 1 degrees of freedom.
    assert measure(task, rows, [2.5] * 6) == pytest.approx(
        {"pearson": 0.0, "spearman": 0.0, "alpha": 1 / 12}
    )


@pytest.mark.skipif(
    "DISTILL_DATA" not in os.environ,
    reason="DISTILL_DATA does not name the folder of the labelled sets",
)
def test_a_majority_guess_of_interpellation_areas_gets_its_known_score() -> None:
    folder = Path(os.environ["DISTILL_DATA"]) / "sv" / "tasks" / "riksdag_interpellations"
    splits = {
        split: {"path": str(folder / f"{split}.jsonl.gz")} for split in ("train", "dev", "test")
    }
    metrics = ["macro_f1", "accuracy", "mcc"]
    task = task_of("classification", **splits, text="text_masked", label="area", metrics=metrics)
    rows = read_task(task, seed=0)
    counts = Counter(row.label for row in rows.test)
    known = of_majority(counts[rows.majority] / len(rows.test), len(counts))
    assert len(counts) == 12 and known["macro_f1"] < 0.05
    assert measure(task, rows.test, [rows.majority] * len(rows.test)) == pytest.approx(known)
