from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from transformers import PreTrainedModel

from distill.evaluation import finetuning
from distill.evaluation.encoding import Encoded, Input, encode_rows, renumber, used_pieces
from distill.evaluation.finetuning import (
    FineTuned,
    Outputs,
    Settings,
    fine_tune,
    learning_rate_of_step,
    predict,
    row_batches,
)
from distill.evaluation.headed_encoder import HeadedEncoder, bare_copy
from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel
from tests.evaluation.conftest import toy_rows

TEXTS = Outputs(classes=2, pooling="mean")


def whole_copy(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder with every piece."""
    return bare_copy(
        model, np.arange(model.config.vocab_size), longest=32, device=torch.device("cpu")
    )


def settings(**changes: Any) -> Settings:
    keys: dict[str, Any] = {
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "batch_size": 8,
        "epochs": 2,
        "max_steps": None,
        "evaluation_steps": None,
        "patience": 3,
        "freeze_layers": 0,
        "dropout": True,
        "precision": "float32",
    }
    return Settings(**keys | changes)


def encoded(tiny: LoadedModel, count: int = 24) -> Encoded:
    rows = toy_rows(count, 8)
    return encode_rows(rows.train, rows, tiny.tokenizer, 32)


def tune(
    tiny: LoadedModel,
    dev: list[float] | None = None,
    outputs: Outputs = TEXTS,
    seed: int = 0,
    **changes: Any,
) -> FineTuned:
    """A fine-tune whose dev scores are given."""
    scores = iter(dev or [])
    train: list[Input] = changes.pop("train", None) or encoded(tiny).inputs
    advance = changes.pop("advance", lambda share: None)
    return fine_tune(
        whole_copy(tiny.model),
        train,
        outputs=outputs,
        settings=settings(**changes),
        seed=seed,
        measure_dev=lambda model: next(scores, 0.0),
        padding=1,
        advance=advance,
    )


def weights(tuned: FineTuned) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in tuned.model.parameters()])


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 1000))
def test_an_epoch_has_every_row_once_in_batches_of_the_size(
    count: int, size: int, seed: int
) -> None:
    lengths = np.random.default_rng(seed).integers(3, 50, size=count)
    batches = list(row_batches(lengths, size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert max(map(len, batches)) <= size


def test_batches_hold_rows_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=320)
    batches = list(row_batches(lengths, 8, np.random.default_rng(0)))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate_of_step(step, 100, 1.0, 0.1) for step in range(100)]
    assert (
        rates[:10] == sorted(rates[:10])
        and rates[10] == 1.0
        and rates[10:] == sorted(rates[10:], reverse=True)
    )
    assert 0 < rates[0] < 0.2 and 0 < rates[-1] < 0.02
    assert learning_rate_of_step(0, 1, 1.0, 0.0) == 1.0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny: LoadedModel) -> None:
    torch.manual_seed(1)
    first = weights(tune(tiny, epochs=1))
    torch.manual_seed(2)
    assert torch.equal(first, weights(tune(tiny, epochs=1)))
    assert not torch.equal(first, weights(tune(tiny, epochs=1, seed=1)))


def test_it_ends_as_it_was_best_on_dev(tiny: LoadedModel) -> None:
    best = tune(tiny, dev=[0.1, 0.9, 0.2, 0.3], epochs=4, patience=9)
    assert (best.dev, best.best_step, best.steps) == (0.9, 6, 12)
    stopped = tune(tiny, dev=[0.1, 0.9, 0.2, 0.3], epochs=4, patience=1)
    assert (stopped.best_step, stopped.steps) == (6, 9)
    assert torch.equal(weights(best), weights(stopped))


def test_it_stops_after_as_many_evaluations_without_gain_as_patience_says(
    tiny: LoadedModel,
) -> None:
    assert tune(tiny, dev=[0.5, 0.5, 0.5, 0.9], epochs=9, patience=2).steps == 9


def test_steps_and_evaluations_can_be_counted_in_steps(tiny: LoadedModel) -> None:
    found = tune(tiny, dev=[0.1, 0.2, 0.3], epochs=100, max_steps=5, evaluation_steps=2)
    assert (found.steps, found.best_step, found.dev) == (5, 5, 0.3)


@pytest.mark.parametrize("changes", [{}, {"patience": 1, "epochs": 9}, {"max_steps": 1}])
def test_progress_adds_up_to_one(tiny: LoadedModel, changes: dict[str, Any]) -> None:
    shares: list[float] = []
    tune(tiny, advance=shares.append, **changes)
    assert sum(shares) == pytest.approx(1.0)


def test_a_loss_that_is_no_number_ends_it_before_the_weights_are_touched(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = finetuning._loss, []

    def loss(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return real(*arguments) * (torch.nan if len(calls) > 2 else 1)

    monkeypatch.setattr(finetuning, "_loss", loss)
    found = tune(tiny, dev=[0.5], epochs=3)
    assert found.steps == 2 and len(calls) == 3
    assert torch.isfinite(weights(found)).all()


def test_a_fine_tune_of_the_pieces_that_occur_ends_as_one_of_the_whole_vocabulary(
    tiny: LoadedModel,
) -> None:
    whole = encoded(tiny)
    pieces = used_pieces([whole], padding=1)
    assert len(pieces) < tiny.model.config.vocab_size / 2
    few = renumber(whole, pieces)
    keys: dict[str, Any] = {
        "outputs": TEXTS,
        "settings": settings(epochs=3),
        "seed": 0,
        "padding": 1,
    }
    rising = itertools.count()
    keys["measure_dev"] = lambda model: float(next(rising))
    one = fine_tune(whole_copy(tiny.model), whole.inputs, **keys)
    small = bare_copy(tiny.model, pieces, longest=32, device=torch.device("cpu"))
    other = fine_tune(small, few.inputs, **keys)
    tables = [tuned.model.encoder.get_input_embeddings().weight for tuned in (one, other)]
    # The gradient's norm is summed in another order.
    torch.testing.assert_close(tables[0][torch.from_numpy(pieces)], tables[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.model.head.weight, other.model.head.weight, atol=1e-5, rtol=1e-4)


def test_a_frozen_fine_tune_changes_nothing_below(tiny: LoadedModel) -> None:
    tuned = tune(tiny, freeze_layers=3, epochs=1)
    before = dict(tiny.model.base_model.named_parameters())
    changed = {
        name
        for name, p in tuned.model.encoder.named_parameters()
        if not torch.equal(p, before[name])
    }
    assert changed and all(name.startswith("encoder.layer.3.") for name in changed)


def test_without_dropout_steps_are_the_encoders_own(tiny: LoadedModel) -> None:
    def trained(dropout: bool, probability: float) -> torch.Tensor:
        teacher = LoadedModel(model=whole_copy(tiny.model), tokenizer=tiny.tokenizer)
        for module in teacher.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = probability
        return weights(tune(teacher, dropout=dropout))

    assert torch.equal(trained(False, 0.5), trained(False, 0.0)) and not torch.equal(
        trained(True, 0.5), trained(True, 0.0)
    )


def test_predictions_are_in_the_order_of_the_rows_whatever_their_lengths(tiny: LoadedModel) -> None:
    model = HeadedEncoder(whole_copy(tiny.model), 1, "mean").eval()
    rows, outputs = encoded(tiny, 12), Outputs(classes=0, pooling="mean")
    together = predict(model, rows, outputs=outputs, precision="float32", padding=1)
    for i, one in enumerate(rows.inputs):
        alone = Encoded(inputs=[one], row_of=[0], rows=1, cut=0)
        assert predict(model, alone, outputs=outputs, precision="float32", padding=1)[
            0
        ] == pytest.approx(together[i], abs=1e-5)


def words_task() -> TaskRows:
    """Words whose class is their first letter's half of the alphabet."""
    draw = np.random.default_rng(0)
    known = ["fisk", "hav", "barn", "bro", "sol", "torg", "skog", "väg"]
    rows = []
    for _ in range(96):
        words = tuple(str(word) for word in draw.choice(known, size=6))
        rows.append(
            Row(words=words, label=tuple("late" if word[0] > "k" else "early" for word in words))
        )
    return TaskRows(
        train=rows[:64],
        dev=rows[64:],
        test=rows[64:],
        classes=("early", "late"),
        left_out={},
        test_in_train=0,
    )


def test_words_are_learnt_and_answered_one_by_one(tiny: LoadedModel) -> None:
    task, outputs = words_task(), Outputs(classes=2, pooling=None)
    train, dev = (encode_rows(rows, task, tiny.tokenizer, 20) for rows in (task.train, task.dev))
    tuned = tune(
        tiny,
        train=train.inputs,
        outputs=outputs,
        learning_rate=3e-3,
        epochs=8,
        dev=[float(i) for i in range(8)],
    )
    found = predict(tuned.model, dev, outputs=outputs, precision="float32", padding=1)
    pairs = [
        (task.classes[answer[i]], name)
        for answer, row in zip(found, task.dev, strict=True)
        if isinstance(answer, dict)
        for i, name in enumerate(row.names)
    ]
    assert len(pairs) == 6 * len(task.dev)
    assert np.mean([one == other for one, other in pairs]) > 0.95


def test_a_number_is_learnt(tiny: LoadedModel) -> None:
    """How many of the words of the second text are fish, from 0 to 1."""
    draw = np.random.default_rng(0)
    shares = draw.integers(0, 4, size=160)
    rows = [
        Row(text="hav", text_pair=" ".join(["fisk"] * n + ["skepp"] * (3 - n)), label=float(n))
        for n in shares
    ]
    task = TaskRows(
        train=rows[:128], dev=rows[128:], test=rows[128:], classes=(), left_out={}, test_in_train=0
    )
    outputs = Outputs(classes=0, pooling="mean")
    train, dev = (encode_rows(split, task, tiny.tokenizer, 20) for split in (task.train, task.dev))
    tuned = tune(
        tiny,
        train=train.inputs,
        outputs=outputs,
        learning_rate=3e-3,
        epochs=8,
        dev=[float(i) for i in range(8)],
    )
    found = [
        float(value)
        for value in predict(tuned.model, dev, outputs=outputs, precision="float32", padding=1)
        if not isinstance(value, dict)
    ]
    assert np.corrcoef(found, shares[128:])[0, 1] > 0.9


def test_several_classes_are_learnt_each_by_itself(tiny: LoadedModel) -> None:
    rows = toy_rows(64, 16)
    both = replace(
        rows,
        **{
            split: [
                replace(row, label=("any", str(row.label)) if i % 2 else (str(row.label),))
                for i, row in enumerate(getattr(rows, split))
            ]
            for split in ("train", "dev", "test")
        },
        classes=("any", *rows.classes),
    )
    train = encode_rows(both.train, both, tiny.tokenizer, 32)
    outputs = Outputs(classes=3, pooling="mean", several=True)
    batch = outputs.pad(train.inputs[:2], 0)
    assert batch["targets"].sum(1).tolist() == [1.0, 2.0]
    tuned = fine_tune(
        whole_copy(tiny.model),
        train.inputs,
        outputs=outputs,
        settings=settings(epochs=12, learning_rate=3e-3, dropout=False, patience=20),
        seed=0,
        measure_dev=lambda model: 0.0,
    )
    found = predict(tuned.model, train, outputs=outputs, precision="float32")
    assert {len(one) for one in found if isinstance(one, tuple)} <= {0, 1, 2, 3}
    assert all(isinstance(one, tuple) for one in found)
