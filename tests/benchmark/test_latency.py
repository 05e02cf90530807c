from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from distill.benchmark import latency
from distill.benchmark.latency import MAX_ROUNDS, MIN_ROUNDS, WARM_UP_ROUNDS, Setting, measure_latencies

CPU = Setting(device="cpu", threads=1, batch_size=2, length=8)


class FakeModel(torch.nn.Module):
    """Writes its name into a log whenever it runs."""

    def __init__(self, name: str, log: list[str], vocab_size: int = 50) -> None:
        super().__init__()
        self.name, self.log, self.config = name, log, SimpleNamespace(vocab_size=vocab_size)
        self.seen: list[torch.Tensor] = []
        self.threads: set[int] = set()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
        self.log.append(self.name)
        self.seen.append(input_ids)
        self.threads.add(torch.get_num_threads())


def fake_models(*names: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    log: list[str] = []
    return {name: FakeModel(name, log, **options) for name in names}, log


def rounds_of(log: list[str], models: int) -> list[list[str]]:
    return [log[i : i + models] for i in range(0, len(log), models)]


def test_in_every_round_each_model_runs_once() -> None:
    models, log = fake_models("teacher", "trimmed", "student")
    measure_latencies(models, CPU, seconds=0.01)
    assert all(sorted(each) == ["student", "teacher", "trimmed"] for each in rounds_of(log, 3))


def test_models_take_turns_in_going_first() -> None:
    models, log = fake_models("teacher", "trimmed", "student")
    measure_latencies(models, CPU, seconds=0.01)
    first = [each[0] for each in rounds_of(log, 3)[WARM_UP_ROUNDS : WARM_UP_ROUNDS + 3]]
    assert first == ["teacher", "trimmed", "student"]


def test_warm_up_rounds_are_not_measured() -> None:
    models, log = fake_models("teacher", "student")
    times = measure_latencies(models, CPU, seconds=0.01)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys(models, len(log) // 2 - WARM_UP_ROUNDS)


@pytest.mark.parametrize(("seconds", "rounds"), [(1e-9, MIN_ROUNDS), (1e9, MAX_ROUNDS)])
def test_rounds_are_neither_too_few_nor_too_many(seconds: float, rounds: int) -> None:
    models, _ = fake_models("student")
    assert len(measure_latencies(models, CPU, seconds=seconds)["student"]) == rounds


def test_times_are_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0, 1000, 0.25))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock))
    models, _ = fake_models("student")
    assert measure_latencies(models, CPU, seconds=1e-9)["student"].tolist() == [250.0] * MIN_ROUNDS


def test_inputs_have_the_settings_shape_and_lie_within_the_vocabulary() -> None:
    models, _ = fake_models("student", vocab_size=7)
    measure_latencies(models, CPU, seconds=1e-9)
    ids = models["student"].seen[0]
    assert ids.shape == (2, 8)
    assert 0 <= ids.min() <= ids.max() < 7


def test_threads_are_set_for_the_measurement_alone() -> None:
    before = torch.get_num_threads()
    models, _ = fake_models("student")
    measure_latencies(models, Setting(device="cpu", threads=before + 1, batch_size=1, length=4), seconds=1e-9)
    assert models["student"].threads == {before + 1}
    assert torch.get_num_threads() == before


def test_threads_are_set_back_when_a_model_fails() -> None:
    class Failing(FakeModel):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> None:
            raise RuntimeError("no memory")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no memory"):
        measure_latencies(
            {"student": Failing("student", [])},  # type: ignore[dict-item]
            Setting(device="cpu", threads=before + 1, batch_size=1, length=4),
            seconds=1,
        )
    assert torch.get_num_threads() == before
