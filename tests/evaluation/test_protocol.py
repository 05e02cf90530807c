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
from distill.evaluation.bench import decode_predictions, encode_predictions, name_predictions
from distill.evaluation.draws import draw_rows
from distill.evaluation.finished import Finished
from distill.evaluation.protocol import (
    Measured,
    choose_learning_rate,
    is_planned,
    measure_model,
    planned,
    rate_beyond,
)
from distill.evaluation.scoring import measure
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


def values(rows: TaskRows, measured: Measured, metric: str) -> list[float]:
    """The metric of each seed's predictions on the whole test set."""
    return [measure(TASK, rows.test, one)[metric] for one in measured.predictions]


def test_a_separable_task_is_learnt(evaluate: Evaluate) -> None:
    rows = toy_rows(256)
    measured = evaluate(rows, quick_section(epochs=6, seeds=1))
    assert values(rows, measured, "accuracy")[0] > 0.9 and values(rows, measured, "mcc")[0] > 0.8


@pytest.mark.parametrize("draw", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
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
        values(task, evaluate(task, section, name=name), "mcc")
        for name, task in (("a", mixed), ("b", rows))
    )
    # Matthews' correlation by chance on 200 rows has a standard deviation of 0.07.
    assert abs(chance) < 0.3
    assert true > 0.7


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 300), st.integers(1, 300))
def test_every_seed_learns_from_all_rows_once(
    seed: int, number: int, train: int, test: int
) -> None:
    draw = draw_rows(seed, "task", number, train=train, dev=7, test=test, anew=False)
    assert draw.train.tolist() == list(range(train)) and draw.test.tolist() == list(range(test))


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 300), st.integers(1, 300))
def test_euroeval_draws_as_many_rows_as_there_are_of_every_split(
    seed: int, number: int, train: int, test: int
) -> None:
    draw = draw_rows(seed, "task", number, train=train, dev=7, test=test, anew=True)
    for drawn, count in ((draw.train, train), (draw.dev, 7), (draw.test, test)):
        assert len(drawn) == count and 0 <= drawn.min() <= drawn.max() < count


def test_draws_differ_by_seed_task_and_number() -> None:
    draws = [
        draw_rows(*which, train=50, dev=50, test=50, anew=True)
        for which in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    assert (
        len({tuple(draw.train) for draw in draws}) == len({draw.torch_seed for draw in draws}) == 4
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[float, float]], list[Any]]:
    """Puts fine-tunes that have the dev scores given, by learning rate, in place of real ones; the
    list of what each was asked for.
    """

    def put(dev: dict[float, float]) -> list[Any]:
        met: list[Any] = []

        def fake_bench(*arguments: Any) -> Callable[..., dict[str, Any]]:
            def tune(draw: protocol.Draw, rate: float, advance: Any) -> dict[str, Any]:
                met.append((rate, draw.torch_seed))
                how = {"precision": "float32", "runtime": "torch", "threads": 1, "commit": None}
                # On test the others are better.
                predictions = [int(dev[rate] < 0.5)] * 32
                return {"dev": dev[rate], "predictions": predictions, "cut": {}, **how}

            return tune

        monkeypatch.setattr(protocol, "Bench", fake_bench)
        return met

    return put


def test_every_model_meets_the_same_seeds(evaluate: Evaluate, fake: Any) -> None:
    met = fake({3e-3: 0.0})
    for name in ("teacher", "student"):
        evaluate(toy_rows(), quick_section(seeds=3), name=name)
    assert met[:3] == met[3:] and len(met) == 6


def test_the_learning_rate_is_chosen_on_dev_over_two_seeds(evaluate: Evaluate, fake: Any) -> None:
    met = fake({1e-5: 0.2, 1e-4: 0.9, 1e-3: 0.5})
    section = quick_section(seeds=3, learning_rates=[1e-5, 1e-4, 1e-3])
    measured = evaluate(toy_rows(), section)
    assert (measured.learning_rate, measured.rate_at_edge) == (1e-4, False)
    assert [rate for rate, _ in met] == [1e-5, 1e-5, 1e-4, 1e-4, 1e-3, 1e-3, 1e-4]
    assert len(met) == planned(section)
    assert measured.dev == [0.9] * 3 and measured.predictions == [[FISH] * 32] * 3


def test_a_grid_whose_last_rate_is_best_grows_by_two_rates_at_most(
    evaluate: Evaluate, fake: Any
) -> None:
    section = quick_section(seeds=1, learning_rates=[1e-4, 1e-3])
    met = fake({1e-4: 0.1, 1e-3: 0.2, 1e-2: 0.3, 1e-1: 0.25})
    measured = evaluate(toy_rows(), section, name="student")
    assert (measured.learning_rate, measured.rate_at_edge) == (1e-2, False)
    assert [rate for rate, _ in met] == [1e-4, 1e-3, 1e-2, 1e-1]
    fake({1e-4: 0.1, 1e-3: 0.2, 1e-2: 0.3, 1e-1: 0.4})
    measured = evaluate(toy_rows(), section, name="scratch")
    assert (measured.learning_rate, measured.rate_at_edge) == (1e-1, True)


@pytest.mark.parametrize(("seeds", "best"), [(1, 1e-1), (2, 1e-3), (3, 1e-4), (4, 1e-1)])
def test_as_many_fine_tunes_count_as_were_planned_wherever_the_best_rate_lies(
    seeds: int, best: float
) -> None:
    section = quick_section(seeds=seeds, learning_rates=[1e-4, 1e-3])
    choosing = {(seed, rate) for seed in range(min(2, seeds)) for rate in (1e-4, 1e-3, 1e-2, 1e-1)}
    made = choosing | {(seed, best) for seed in range(seeds)}
    assert sum(is_planned(section, seed, rate) for seed, rate in made) == planned(section)
    assert is_planned(section, None, None) and not is_planned(section, seeds, 1e-4)


@pytest.mark.parametrize(
    ("tried", "best", "beyond"),
    [
        ([3e-5, 1e-4, 3e-4], 3e-5, 9e-6),
        ([3e-5, 1e-4, 3e-4], 3e-4, 9e-4),
        ([3e-5, 1e-4, 3e-4], 1e-4, None),
        ([1e-4], 1e-4, None),
        ([0.1, 0.9], 0.9, None),
    ],
)
def test_the_rate_beyond_the_edge_is_as_far_as_the_neighbour_before_it(
    tried: list[float], best: float, beyond: float | None
) -> None:
    assert rate_beyond(tried, best) == beyond


def test_euroeval_stops_by_the_loss_on_dev(evaluate: Evaluate) -> None:
    section = quick_section(protocol="euroeval", max_steps=12, evaluation_steps=4)
    assert section.weight_decay == 0.0
    assert all(value < 0 for value in evaluate(toy_rows(), section).dev)


def test_predictions_are_kept_by_number_and_come_back_by_name() -> None:
    classes = (FISH, SHIP)
    named = [FISH, SHIP, (SHIP, FISH)]
    assert encode_predictions(named, classes) == [0, 1, [1, 0]]
    assert decode_predictions([0, 1, [1, 0]], classes) == named
    assert decode_predictions([0.5, 2.0], ()) == [0.5, 2.0]


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
    assert Finished(partial, interruption).count(["teacher"]) == 2

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
