from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill.benchmark import floor
from distill.benchmark.floor import Work, copy_bandwidth, count_work, floor_ms, product_rate
from distill.models import load_model

WORK = Work(weight_operations=6e9, attention_operations=2e9, weights=10_000_000)
SLOW, FAST = 1e9, 1e15


def test_the_work_is_two_operations_a_weight_and_token_and_four_a_pair_of_tokens_and_dimension(
    tiny_teacher: Path,
) -> None:
    work = count_work(load_model(tiny_teacher), batch_size=3, length=10)
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 4 * 32
    assert work.weights == 4 * layer
    assert work.weight_operations == 2 * 4 * layer * 30
    assert work.attention_operations == 4 * 4 * 32 * 3 * 10 * 10


def test_with_fast_memory_the_floor_is_the_arithmetic() -> None:
    found = floor_ms(
        WORK, precision="float32", weight_rate=SLOW, attention_rate=SLOW, bandwidth=FAST
    )
    assert found == pytest.approx(8000.0)


def test_attention_counts_at_its_own_rate() -> None:
    found = floor_ms(
        WORK, precision="int8", weight_rate=4 * SLOW, attention_rate=SLOW, bandwidth=FAST
    )
    assert found == pytest.approx(1500.0 + 2000.0)


@pytest.mark.parametrize(
    ("precision", "milliseconds"), [("float32", 40.0), ("bfloat16", 20.0), ("int8", 10.0)]
)
def test_with_fast_arithmetic_the_floor_is_reading_the_weights(
    precision: str, milliseconds: float
) -> None:
    found = floor_ms(
        WORK, precision=precision, weight_rate=FAST, attention_rate=FAST, bandwidth=SLOW
    )
    assert found == pytest.approx(milliseconds)


def test_a_copy_counts_what_it_reads_and_what_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(floor.time, "perf_counter", lambda: next(ticks))
    assert (
        copy_bandwidth(1_000_000, "cpu") == 1_000_000
    )  # bytes, in the one second that the clock shows


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("torch", "float32"), ("torch", "bfloat16"), ("onnx", "float32"), ("onnx", "int8")],
)
def test_the_rate_of_every_arithmetic_is_that_of_its_own_runtimes_product(
    runtime: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def torch_seconds(device: torch.device, dtype: torch.dtype, side: int) -> float:
        asked.append(("torch", str(dtype).removeprefix("torch.")))
        return 0.5

    def onnx_seconds(side: int, *, int8: bool, threads: int | None) -> float:
        asked.append(("onnx", "int8" if int8 else "float32"))
        return 0.5

    monkeypatch.setattr(floor, "matmul_seconds", torch_seconds)
    monkeypatch.setattr("distill.onnx.product.product_seconds", onnx_seconds)
    assert product_rate(runtime, precision, "cpu", 1) == 4 * 1024**3
    assert asked == [(runtime, precision)]
