from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from distill.evaluation import protocol
from distill.evaluation.finished import Finished
from distill.evaluation.protocol import (
    Measured,
    choose_learning_rate,
    draw_rows,
    measure_model,
    name_predictions,
    planned,
)
from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel
from distill.recipe import ClassificationTask, EvaluationSection
from distill.runtime.errors import Interrupted
from distill.runtime.interruption import Interruption
from tests.evaluation.conftest import FISH, SHIP, quick_section, toy_rows

TASK = ClassificationTask.model_validate(
    {
        "name": "toy",
        "kind": "classification",
        "train": {"path": "a"},
        "test": {"path": "b"},
        "metrics": ["accuracy", "mcc"],
    }
)
Evaluate = Callable[..., Measured]


@pytest.fixture
def evaluate(tiny: LoadedModel, tmp_path: Path) -> Evaluate:
    """The tiny teacher through the protocol, under any name."""

    def run(
        rows: TaskRows,
        section: EvaluationSection | None = None,
        name: str = "teacher",
        **changes: Any,
    ) -> Measured:
        arguments: dict[str, Any] = {
            "load": lambda: tiny,
            "finished": Finished(tmp_path / "measured.jsonl", Interruption()),
        }
        return measure_model(
            TASK,
            rows,
            name=name,
            section=section or quick_section(),
            pooling="mean",
            seed=0,
            precision="float32",
            device=torch.device("cpu"),
            **arguments | changes,
        )

    return run


def test_a_separable_task_is_learnt(evaluate: Evaluate) -> None:
    measured = evaluate(toy_rows(256), quick_section(epochs=6, seeds=1))
    assert measured.values["accuracy"][0] > 0.9 and measured.values["mcc"][0] > 0.8


@pytest.mark.parametrize("draw", range(3))
def test_shuffled_labels_end_at_chance_and_true_ones_far_above(
    evaluate: Evaluate, draw: int
) -> None:
    rows, random = toy_rows(256, test=200, seed=draw), np.random.default_rng(draw)

    def shuffled(split: list[Row]) -> list[Row]:
        """The same texts and as many labels of each class, dealt out anew: what the text says of
        its label is gone.
        """
        labels = random.permutation([str(row.label) for row in split])
        return [
            dataclasses.replace(row, label=str(label))
            for row, label in zip(split, labels, strict=True)
        ]

    # Those of test too: were they left, a rule that the dealing made by chance, and the model
    # learnt, would hold there.
    mixed = dataclasses.replace(
        rows, train=shuffled(rows.train), dev=shuffled(rows.dev), test=shuffled(rows.test)
    )
    section = quick_section(epochs=6, seeds=1)
    ((chance,), (true,)) = (
        evaluate(task, section, name=name).values["mcc"]
        for name, task in (("a", mixed), ("b", rows))
    )
    # Matthews' correlation by chance on 200 rows has a standard deviation of 0.07, on a resample of
    # them 0.1: 0.3 are three.
    assert abs(chance) < 0.3
    assert true > 0.7


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 300), st.integers(1, 300))
def test_draws_are_of_the_rows_there_are_and_as_many(
    seed: int, number: int, train: int, test: int
) -> None:
    draw = draw_rows(seed, "task", number, train=train, test=test)
    for drawn, count in ((draw.train, train), (draw.test, test)):
        assert len(drawn) == count and 0 <= drawn.min() <= drawn.max() < count


def test_draws_differ_by_seed_task_and_number() -> None:
    draws = [
        draw_rows(*which, train=50, test=50)
        for which in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    assert (
        len({tuple(draw.train) for draw in draws}) == len({draw.torch_seed for draw in draws}) == 4
    )


def test_every_model_meets_the_same_draws(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[Any] = []

    def fake_bench(*arguments: Any) -> Callable[..., dict[str, Any]]:
        def tune(draw: protocol.Draw, rate: float, advance: Any) -> dict[str, Any]:
            met.append((draw.train.tolist(), draw.test.tolist(), draw.torch_seed))
            return {
                "dev": 0.0,
                "scores": {"accuracy": 0.0, "mcc": 0.0},
                "cut": {},
                "precision": "float32",
            }

        return tune

    monkeypatch.setattr(protocol, "_Bench", fake_bench)
    for name in ("teacher", "student"):
        evaluate(toy_rows(), quick_section(seeds=3), name=name)
    assert met[:3] == met[3:] and len(met) == 6


def test_the_learning_rate_is_chosen_on_dev_with_the_first_seed_alone(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = {1e-5: 0.2, 1e-4: 0.9, 1e-3: 0.5}
    tried: list[float] = []

    def fake_bench(*arguments: Any) -> Callable[..., dict[str, Any]]:
        def tune(draw: protocol.Draw, rate: float, advance: Any) -> dict[str, Any]:
            tried.append(rate)
            # On test the others are better.
            return {
                "dev": dev[rate],
                "scores": {"accuracy": 1 - dev[rate], "mcc": 0.0},
                "cut": {},
                "precision": "float32",
            }

        return tune

    monkeypatch.setattr(protocol, "_Bench", fake_bench)
    section = quick_section(seeds=3, learning_rates=list(dev))
    measured = evaluate(toy_rows(), section)
    assert measured.learning_rate == 1e-4
    assert tried == [1e-5, 1e-4, 1e-3, 1e-4, 1e-4] and len(tried) == planned(section)
    assert measured.values["accuracy"] == pytest.approx([0.1] * 3)


def test_of_equal_learning_rates_the_first_is_chosen() -> None:
    assert choose_learning_rate([(1e-5, 0.5), (1e-4, 0.5), (1e-3, 0.4)]) == 1e-5


def test_interrupted_it_goes_on_to_the_scores_of_an_uninterrupted_one(
    evaluate: Evaluate, tiny: LoadedModel, tmp_path: Path
) -> None:
    rows, section = toy_rows(), quick_section(learning_rates=[1e-3, 3e-3], seeds=3)
    whole = evaluate(rows, section)

    interruption, loads = Interruption(), []
    partial = tmp_path / "partial.jsonl"

    def stop_in_the_second(share: float, detail: str) -> None:
        if "0.003" in detail:
            raise Interrupted

    with pytest.raises(Interrupted):
        evaluate(
            rows, section, finished=Finished(partial, interruption), advance=stop_in_the_second
        )
    assert Finished(partial, interruption).count(["teacher"]) == 1

    def load() -> LoadedModel:
        loads.append(1)
        return tiny

    resumed = evaluate(rows, section, finished=Finished(partial, interruption), load=load)
    assert resumed == whole and loads == [1]
    assert evaluate(rows, section, finished=Finished(partial, interruption), load=load) == whole
    assert loads == [1], "what is finished needs no model"


def test_a_fine_tune_leaves_the_model_as_it_was(evaluate: Evaluate, tiny: LoadedModel) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    evaluate(toy_rows(32, 8), quick_section(seeds=1, epochs=1))
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in tiny.model.state_dict().items()
    )
    assert all(parameter.requires_grad for parameter in tiny.model.parameters())


def test_rows_that_are_too_long_are_counted(evaluate: Evaluate) -> None:
    rows = toy_rows(32, 8)
    long = dataclasses.replace(rows, train=[*rows.train, Row(text=f"{FISH} " * 100, label=FISH)])
    assert evaluate(long, quick_section(seeds=1, epochs=1, max_length=40)).cut == {
        "train": 1,
        "dev": 0,
        "test": 0,
    }


def test_numbers_are_predicted_on_their_own_scale() -> None:
    rows = [Row(text="a", text_pair="b", label=label) for label in (1.0, 5.0)]
    task = TaskRows(train=rows, dev=rows, test=rows, classes=(), left_out={}, test_in_train=0)
    assert name_predictions([0.0, 0.5, 1.0], rows, task) == [1.0, 3.0, 5.0]


def test_a_word_without_pieces_gets_the_most_frequent_class() -> None:
    rows = [Row(words=("a", "b", "c"), label=(SHIP, FISH, FISH))]
    task = TaskRows(
        train=rows, dev=rows, test=rows, classes=(FISH, SHIP), left_out={}, test_in_train=0
    )
    assert name_predictions([{0: 1, 2: 1}], rows, task) == [(SHIP, FISH, SHIP)]
