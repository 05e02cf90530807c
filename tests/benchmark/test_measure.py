from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.benchmark import bench, files, measure as room
from distill.benchmark.process import Footprint
from distill.benchmark.subjects import Subject, size_on_disk, size_without_weights, subject_of
from distill.models import load_model
from distill.onnx.conversion import ConversionError
from distill.recipe import BenchmarkSection
from distill.report.results.benchmark import BenchmarkResult, Measurement
from distill.runtime.progress import Progress

POSITIONS = 62
"""Of the tiny teacher: 64 in its table, of which two come before the first token."""
TIMES = ("median_ms", "p95_ms", "sequences_per_second", "floor_ms", "peak_memory_bytes")


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Subject:
    return subject_of(load_model(tiny_teacher), tiny_teacher)


def made_up_footprint(runtime: str, path: Path, shapes: Any) -> Footprint:
    return Footprint(load_ms=7.0, peaks=dict.fromkeys(shapes, 123))


@pytest.fixture
def benchmark(
    teacher: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., BenchmarkResult]:
    """The stage on the tiny teacher under each name; memory and rates are not really measured."""
    monkeypatch.setattr(bench, "product_rate", lambda *_: 1e12)
    monkeypatch.setattr(bench, "copy_bandwidth", lambda *_: 1e12)
    monkeypatch.setattr(bench, "choose_precision", lambda *_: "bfloat16")

    def run(
        footprint: Any = made_up_footprint, subject: Subject = teacher, **section: Any
    ) -> BenchmarkResult:
        monkeypatch.setattr(room, "measure_footprint", footprint)
        quick = {
            "models": ["teacher", "student"],
            "runtimes": ["torch"],
            "devices": ["cpu"],
            "threads": [1],
            "batch_sizes": [1],
            "lengths": [8],
            "seconds": 0.05,
        }
        return room.measure_models(
            BenchmarkSection.model_validate(quick | section),
            open_model=lambda name: subject,
            output=tmp_path,
            progress=Progress(quiet=True),
        )

    return run


def test_every_model_has_a_row_for_every_setting(benchmark: Callable[..., BenchmarkResult]) -> None:
    rows = benchmark(lengths=[8, 16], batch_sizes=[1, 2]).measurements
    assert len({(row.model, row.batch_size, row.length) for row in rows}) == len(rows) == 2 * 4


def test_a_row_says_what_it_measured(
    benchmark: Callable[..., BenchmarkResult], teacher: Subject, tiny_teacher: Path
) -> None:
    row = benchmark(batch_sizes=[2]).measurements[0]
    assert row.median_ms is not None and row.p95_ms is not None
    assert 0 < row.median_ms <= row.p95_ms
    assert row.sequences_per_second == pytest.approx(2000 / row.median_ms)
    assert row.rounds >= 5
    assert row.parameters == teacher.model.num_parameters()
    assert row.bytes_on_disk == size_on_disk(tiny_teacher)
    assert (row.runtime, row.precision, row.load_ms, row.peak_memory_bytes) == (
        "torch",
        "float32",
        7.0,
        123,
    )
    assert row.reason is None


def test_the_floor_is_the_work_at_the_rates_measured(
    benchmark: Callable[..., BenchmarkResult], teacher: Subject
) -> None:
    from distill.models.operations import forward_operations

    row = benchmark(batch_sizes=[2]).measurements[0]
    assert row.floor_ms == pytest.approx(1000 * 2 * 8 * forward_operations(teacher.model, 8) / 1e12)


def test_floors_rest_on_the_best_rates_of_the_whole_stage(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = benchmark(lengths=[8, 16]).measurements
    rates = iter([5e11, 1e12])
    monkeypatch.setattr(bench, "product_rate", lambda *_: next(rates, 2e11))
    assert [row.floor_ms for row in benchmark(lengths=[8, 16]).measurements] == [
        row.floor_ms for row in fast
    ]


def test_every_runtime_has_its_rows_and_onnx_its_own_size(
    benchmark: Callable[..., BenchmarkResult], tiny_teacher: Path
) -> None:
    rows = benchmark(
        models=["student", "student_int8"],
        runtimes=["torch", "torch_bfloat16", "onnx", "onnx_int8"],
    ).measurements
    assert [(row.model, row.runtime, row.precision) for row in rows] == [
        ("student", "torch", "float32"),
        ("student", "torch", "bfloat16"),
        ("student", "onnx", "float32"),
        ("student_int8", "onnx", "int8"),
    ]
    assert all(row.median_ms is not None and row.reason is None for row in rows)
    torch_bytes, _, whole, small = (row.bytes_on_disk or 0 for row in rows)
    besides = size_without_weights(tiny_teacher)
    assert torch_bytes == size_on_disk(tiny_teacher)
    assert besides < small < whole


def test_bfloat16_that_is_no_faster_gives_rows_without_figures_and_with_a_reason(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "choose_precision", lambda *_: "float32")
    whole, half = benchmark(models=["student"], runtimes=["torch", "torch_bfloat16"]).measurements
    assert whole.median_ms is not None
    assert (half.median_ms, half.reason) == (
        None,
        "bfloat16 multiplies no faster than float32 here",
    )


def test_an_architecture_that_onnx_cannot_say_is_measured_in_torch_alone(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ConversionError("TinyModel cannot be converted to ONNX: it is odd")

    monkeypatch.setattr(files, "write_onnx", refuse)
    in_torch, in_onnx = benchmark(models=["student"], runtimes=["torch", "onnx"]).measurements
    assert in_torch.median_ms is not None
    assert (in_onnx.median_ms, in_onnx.bytes_on_disk, in_onnx.load_ms) == (None, None, None)
    assert in_onnx.reason == "TinyModel cannot be converted to ONNX: it is odd"


def test_an_absent_device_gives_rows_without_figures_and_with_a_reason(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = [row for row in benchmark(devices=["cuda", "cpu"]).measurements if row.device == "cuda"]
    assert [row.model for row in rows] == ["teacher", "student"]
    for row in rows:
        assert [getattr(row, name) for name in TIMES] == [None] * len(TIMES)
        assert row.reason == "no CUDA device here"


def test_a_length_beyond_the_positions_gives_rows_without_figures_and_with_a_reason(
    benchmark: Callable[..., BenchmarkResult],
) -> None:
    rows = benchmark(lengths=[POSITIONS, POSITIONS + 1]).measurements
    for row in rows:
        fits = row.length == POSITIONS
        assert [getattr(row, name) is not None for name in TIMES] == [fits] * len(TIMES)
        assert row.reason == (
            None if fits else f"the model has no positions for {POSITIONS + 1} tokens"
        )


def test_a_model_that_counts_positions_from_zero_is_measured_at_its_last(
    benchmark: Callable[..., BenchmarkResult], tmp_path: Path
) -> None:
    from transformers import BertConfig, BertModel

    size = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
    }
    bert = subject_of(
        BertModel(BertConfig(vocab_size=50, max_position_embeddings=16, **size)), tmp_path
    )
    rows = benchmark(subject=bert, models=["student"], lengths=[16, 17]).measurements
    assert [row.median_ms is not None for row in rows] == [True, False]


def test_a_pass_that_would_outlast_the_time_given_is_left_out_with_its_floor(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "product_rate", lambda *_: 1e6)
    (row,) = benchmark(models=["student"], seconds=0.5).measurements
    assert row.floor_ms is not None and row.median_ms is None
    assert row.reason == "one pass would take longer than the 0.5 s given (see its floor)"


def test_memory_is_measured_for_the_shapes_that_fit(
    benchmark: Callable[..., BenchmarkResult], tiny_teacher: Path
) -> None:
    asked: list[Any] = []

    def footprint(*arguments: Any) -> Footprint:
        asked.append(arguments)
        return made_up_footprint(*arguments)

    benchmark(footprint, lengths=[8, POSITIONS + 1])
    assert asked == [("torch", tiny_teacher, [(1, 8)])] * 2


def test_memory_that_cannot_be_measured_is_null_with_a_reason_beside_the_times(
    benchmark: Callable[..., BenchmarkResult],
) -> None:
    def footprint(*_: object) -> Footprint:
        raise RuntimeError("Killed")

    row = benchmark(footprint).measurements[0]
    assert (row.peak_memory_bytes, row.load_ms) == (None, None)
    assert row.reason == "memory and loading: Killed"
    assert row.median_ms is not None


def test_random_weights_are_measured_and_their_reason_stands_in_every_row(
    benchmark: Callable[..., BenchmarkResult], teacher: Subject
) -> None:
    loaded: list[Path] = []

    def footprint(runtime: str, path: Path, shapes: Any) -> Footprint:
        loaded.append(path)
        assert (path / "model.safetensors").is_file()
        return made_up_footprint(runtime, path, shapes)

    subject = Subject(
        model=teacher.model, parameters=None, folder=None, bytes_on_disk=None, reason="made up"
    )
    (row,) = benchmark(footprint, subject=subject, models=["organisation/model"]).measurements
    assert row.median_ms is not None and row.load_ms == 7.0
    assert (row.parameters, row.bytes_on_disk, row.reason) == (None, None, "made up")
    assert not loaded[0].exists()


def test_bytes_on_disk_that_are_predicted_have_a_reason(
    benchmark: Callable[..., BenchmarkResult], teacher: Subject
) -> None:
    subject = Subject(
        model=teacher.model, parameters=10, folder=None, bytes_on_disk=40, reason="made up"
    )
    in_torch, in_onnx = benchmark(
        subject=subject, models=["organisation/model"], runtimes=["torch", "onnx"]
    ).measurements
    assert in_torch.bytes_on_disk == 40
    assert in_torch.reason == "made up; bytes on disk are those of its parameters in float32"
    assert (in_onnx.bytes_on_disk or 0) > 40
    assert in_onnx.reason == "made up"


def test_measurements_json_holds_what_the_stage_returns_and_nothing_else_is_left(
    benchmark: Callable[..., BenchmarkResult], tmp_path: Path
) -> None:
    result = benchmark(runtimes=["onnx"], models=["student"])
    written = json.loads((tmp_path / "measurements.json").read_text(encoding="utf-8"))
    assert [Measurement(**row) for row in written] == result.measurements
    assert [file.name for file in tmp_path.iterdir()] == ["measurements.json"]


def test_the_machine_is_described(benchmark: Callable[..., BenchmarkResult]) -> None:
    machine = benchmark().machine
    assert machine.torch == torch.__version__
    assert machine.cores >= 1
    assert machine.memory_bytes > 100_000_000
