from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.benchmark import stage
from distill.benchmark.stage import BenchmarkResult, list_settings, size_on_disk
from distill.progress import Progress
from distill.recipe import BenchmarkSection
from distill.teacher import Teacher, load_teacher

POSITIONS = 62
"""Of the tiny teacher: 64 in its table, of which two come before the first token."""


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Teacher:
    return load_teacher(str(tiny_teacher))


@pytest.fixture
def benchmark(
    teacher: Teacher, tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., BenchmarkResult]:
    """The stage on the tiny teacher under each name, memory not really measured."""

    def run(peak_memory: Any = lambda folder, shapes: dict.fromkeys(shapes, 123), **section: Any) -> BenchmarkResult:
        monkeypatch.setattr(stage, "peak_memory", peak_memory)
        quick = {"models": ["teacher", "student"], "threads": [1], "batch_sizes": [1], "lengths": [8], "seconds": 0.05}
        return stage.run(
            BenchmarkSection.model_validate(quick | section),
            load=lambda name: teacher,
            folder_of=lambda name: tiny_teacher,
            output=tmp_path,
            progress=Progress(quiet=True),
        )

    return run


@pytest.mark.parametrize(
    ("given", "found"), [([1, "all"], [1, 3]), (["all", 3], [3]), ([2, 64, 8], [2, 3]), ([1, 1], [1]), (["all", 1], [3, 1])]
)
def test_threads_are_capped_by_those_there_are_and_named_once(
    given: list[Any], found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    settings = list_settings(BenchmarkSection(threads=given, batch_sizes=[1], lengths=[8]))
    assert [setting.threads for setting in settings] == found


def test_settings_are_all_combinations_each_once_small_ones_first() -> None:
    section = BenchmarkSection(threads=[1], batch_sizes=[32, 1, 32], lengths=[128, 32, 128])
    shapes = [(setting.batch_size, setting.length) for setting in list_settings(section)]
    assert shapes == [(1, 32), (1, 128), (32, 32), (32, 128)]


def test_a_gpu_is_measured_once_whatever_the_threads() -> None:
    section = BenchmarkSection(devices=["cuda", "cpu"], threads=[1, "all"], batch_sizes=[1], lengths=[8])
    on_gpu = [setting for setting in list_settings(section) if setting.device == "cuda"]
    assert [setting.threads for setting in on_gpu] == [None]


def test_every_model_has_a_row_for_every_setting(benchmark: Callable[..., BenchmarkResult]) -> None:
    rows = benchmark(lengths=[8, 16], batch_sizes=[1, 2]).measurements
    assert len({(row.model, row.batch_size, row.length) for row in rows}) == len(rows) == 2 * 4


def test_a_row_says_what_it_measured(benchmark: Callable[..., BenchmarkResult], teacher: Teacher, tiny_teacher: Path) -> None:
    row = benchmark(batch_sizes=[2]).measurements[0]
    assert row.median_ms is not None and row.p95_ms is not None
    assert 0 < row.median_ms <= row.p95_ms
    assert row.sequences_per_second == pytest.approx(2000 / row.median_ms)
    assert row.parameters == teacher.model.num_parameters()
    assert row.bytes_on_disk == size_on_disk(tiny_teacher)
    assert row.peak_memory_bytes == 123
    assert row.reason is None


def test_an_absent_device_gives_rows_without_figures_and_with_a_reason(
    benchmark: Callable[..., BenchmarkResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = [row for row in benchmark(devices=["cuda", "cpu"]).measurements if row.device == "cuda"]
    assert [row.model for row in rows] == ["teacher", "student"]
    for row in rows:
        assert (row.median_ms, row.p95_ms, row.sequences_per_second, row.peak_memory_bytes) == (None, None, None, None)
        assert row.reason == "no CUDA device here"


def test_a_length_beyond_the_positions_gives_rows_without_figures_and_with_a_reason(
    benchmark: Callable[..., BenchmarkResult],
) -> None:
    rows = benchmark(lengths=[POSITIONS, POSITIONS + 1]).measurements
    for row in rows:
        fits = row.length == POSITIONS
        assert (row.median_ms is not None) == fits == (row.peak_memory_bytes is not None)
        assert row.reason == (None if fits else f"the model has no positions for {POSITIONS + 1} tokens")


def test_a_model_that_counts_positions_from_zero_is_measured_at_its_last(
    teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
    bert = BertModel(BertConfig(vocab_size=50, max_position_embeddings=16, **size))
    monkeypatch.setattr(stage, "peak_memory", lambda folder, shapes: dict.fromkeys(shapes, 123))
    result = stage.run(
        BenchmarkSection(models=["student"], threads=[1], batch_sizes=[1], lengths=[16, 17], seconds=0.05),
        load=lambda name: Teacher(model=bert, tokenizer=teacher.tokenizer),
        folder_of=lambda name: tmp_path,
        output=tmp_path,
        progress=Progress(quiet=True),
    )
    assert [row.median_ms is not None for row in result.measurements] == [True, False]


def test_memory_is_measured_for_the_shapes_that_fit(benchmark: Callable[..., BenchmarkResult]) -> None:
    asked: list[Any] = []

    def peak_memory(folder: Path, shapes: list[Any]) -> dict[Any, int]:
        asked.append(shapes)
        return dict.fromkeys(shapes, 123)

    benchmark(peak_memory, lengths=[8, POSITIONS + 1])
    assert asked == [[(1, 8)], [(1, 8)]]


def test_memory_that_cannot_be_measured_is_null_with_a_reason_beside_the_times(
    benchmark: Callable[..., BenchmarkResult],
) -> None:
    def peak_memory(folder: Path, shapes: list[Any]) -> dict[Any, int]:
        raise RuntimeError("Killed")

    row = benchmark(peak_memory).measurements[0]
    assert row.peak_memory_bytes is None
    assert row.reason == "peak memory: Killed"
    assert row.median_ms is not None


def test_measurements_json_holds_what_the_stage_returns(benchmark: Callable[..., BenchmarkResult], tmp_path: Path) -> None:
    result = benchmark()
    written = json.loads((tmp_path / "measurements.json").read_text(encoding="utf-8"))
    assert [row["median_ms"] for row in written] == [row.median_ms for row in result.measurements]


def test_the_machine_is_described(benchmark: Callable[..., BenchmarkResult]) -> None:
    machine = benchmark().machine
    assert machine["torch"] == torch.__version__
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 100_000_000


def test_size_on_disk_counts_weights_and_tokenizer_alone(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json", "sentencepiece.bpe.model", "vocab.txt"):
        (tmp_path / name).write_bytes(b"x" * 10)
    for name in ("README.md", "pytorch_model.bin", "model.onnx"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    (tmp_path / "onnx").mkdir()
    assert size_on_disk(tmp_path) == 50
