from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from distill.benchmark import latency
from distill.benchmark.latency import (
    MAX_ROUNDS,
    MIN_ROUNDS,
    OVERTIME_ROUNDS,
    OVERTIME_SECONDS,
    WARM_UP_ROUNDS,
    Pass,
    cpu_threads,
    encoder_pass,
    measure_latencies,
    random_ids,
    torch_pass,
)


def fake_passes(*names: str) -> tuple[dict[str, Pass], list[str]]:
    """Passes that write their name into a log; the milliseconds of each are 1, 2, 3, ..."""
    log: list[str] = []

    def make(name: str) -> Pass:
        times = count(1)

        def run() -> float:
            log.append(name)
            return float(next(times))

        return run

    return {name: make(name) for name in names}, log


def rounds_of(log: list[str], models: int) -> list[list[str]]:
    return [log[i : i + models] for i in range(0, len(log), models)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the monotonic clock shows."""
    now = [0.0]
    monkeypatch.setattr(latency.time, "monotonic", lambda: now[0])
    return now


def slow_pass(clock: list[float], seconds: float) -> Pass:
    def run() -> float:
        clock[0] += seconds
        return 1000 * seconds

    return run


def test_in_every_round_each_model_runs_once() -> None:
    passes, log = fake_passes("teacher", "trimmed", "student")
    measure_latencies(passes, seconds=0.01)
    assert all(sorted(each) == ["student", "teacher", "trimmed"] for each in rounds_of(log, 3))


def test_models_take_turns_in_going_first() -> None:
    passes, log = fake_passes("teacher", "trimmed", "student")
    measure_latencies(passes, seconds=1e9)
    first = [each[0] for each in rounds_of(log, 3)[WARM_UP_ROUNDS : WARM_UP_ROUNDS + 4]]
    assert first == ["teacher", "trimmed", "student", "teacher"]


def test_warm_up_rounds_are_not_measured() -> None:
    passes, _ = fake_passes("teacher", "student")
    times = measure_latencies(passes, seconds=1e9)
    assert {name: values[0] for name, values in times.items()} == dict.fromkeys(
        passes, WARM_UP_ROUNDS + 1
    )


@pytest.mark.parametrize(("seconds", "rounds"), [(1e-9, MIN_ROUNDS), (1e9, MAX_ROUNDS)])
def test_rounds_are_neither_too_few_nor_too_many(seconds: float, rounds: int) -> None:
    passes, _ = fake_passes("student")
    assert len(measure_latencies(passes, seconds)["student"]) == rounds


def test_rounds_fill_the_time_given(clock: list[float]) -> None:
    assert len(measure_latencies({"student": slow_pass(clock, 0.1)}, seconds=4.05)["student"]) == 41


def test_passes_too_long_for_the_least_rounds_get_fewer(clock: list[float]) -> None:
    times = measure_latencies({"student": slow_pass(clock, OVERTIME_SECONDS)}, seconds=4.0)
    assert len(times["student"]) == OVERTIME_ROUNDS < MIN_ROUNDS


def test_passes_longer_than_the_time_given_warm_up_once(clock: list[float]) -> None:
    times = measure_latencies({"student": slow_pass(clock, 5.0)}, seconds=4.0)
    assert clock[0] == 5.0 * (1 + len(times["student"]))


class FakeModel(torch.nn.Module):
    """Keeps what it was given."""

    def __init__(self, vocab_size: int = 50) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.config = SimpleNamespace(vocab_size=vocab_size)
        self.seen: dict[str, torch.Tensor] = {}

    @property
    def base_model(self) -> FakeModel:
        return self

    def forward(self, **inputs: torch.Tensor) -> None:
        assert torch.is_inference_mode_enabled()
        self.seen = inputs


@pytest.fixture
def quarter_seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every look at the clock is a quarter of a second after the last one."""
    ticks = iter(np.arange(0, 1000, 0.25))
    with monkeypatch.context() as patched:
        patched.setattr(latency.time, "perf_counter", lambda: next(ticks))
        yield


@pytest.mark.usefixtures("quarter_seconds")
def test_the_times_of_both_runtimes_are_milliseconds() -> None:
    model: Any = FakeModel()
    encoder: Any = lambda ids, mask: None  # noqa: E731
    assert torch_pass(model, 1, 4)() == encoder_pass(encoder, 50, 1, 4)() == 250.0


def test_both_runtimes_are_given_the_same_ids_without_padding() -> None:
    model: Any = FakeModel(vocab_size=7)
    seen: dict[str, np.ndarray] = {}
    encoder: Any = lambda ids, mask: seen.update(input_ids=ids, attention_mask=mask)  # noqa: E731
    torch_pass(model, 2, 8)()
    encoder_pass(encoder, 7, 2, 8)()
    for name, given in model.seen.items():
        np.testing.assert_array_equal(given.numpy(), seen[name])
    assert seen["attention_mask"].all()


def test_ids_have_the_shape_asked_for_and_lie_within_the_vocabulary() -> None:
    ids = random_ids(7, 20, 30)
    assert ids.shape == (20, 30)
    assert set(ids.ravel()) == set(range(7))


def test_a_pass_leaves_out_the_head_over_the_encoder(tiny_teacher: Path) -> None:
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    model = XLMRobertaForMaskedLM(XLMRobertaConfig.from_pretrained(tiny_teacher))
    model.lm_head.forward = lambda *_: pytest.fail("the head ran")
    assert torch_pass(model, 1, 4)() > 0


def test_threads_are_set_for_the_block_alone() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_threads_are_set_back_when_the_block_fails() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), cpu_threads(before + 1):
        raise RuntimeError
    assert torch.get_num_threads() == before
