from __future__ import annotations

import csv
import io
from typing import Any

from distill.report.grid import (
    build_grid,
    distinct_files,
    placement_of,
    runtime_of,
    to_csv,
    to_markdown,
)
from tests.report.examples import example_report, measurement

UNTIMED: dict[str, Any] = dict.fromkeys(
    ("median_ms", "p95_ms", "sequences_per_second", "peak_memory_bytes")
)


def test_a_model_has_a_line_for_each_runtime_and_place_and_a_cell_for_each_shape() -> None:
    rows = [
        measurement("student", runtime=runtime, threads=threads, batch_size=batch, length=length)
        for threads in (1, 2)
        for batch in (8, 1)
        for length in (32, 128)
        for runtime in ("torch", "onnx")
    ]
    grid = build_grid(rows)
    assert grid.shapes == ((1, 32), (1, 128), (8, 32), (8, 128))
    assert [(line.runtime, line.placement) for line in grid.lines] == [
        ("torch", "CPU, 1 thread"),
        ("ONNX", "CPU, 1 thread"),
        ("torch", "CPU, 2 threads"),
        ("ONNX", "CPU, 2 threads"),
    ]
    assert all(cell is not None for line in grid.lines for cell in line.cells)


def test_a_shape_that_a_line_was_not_asked_for_has_no_cell() -> None:
    grid = build_grid([measurement("teacher", length=32), measurement("student", length=128)])
    assert [[cell is not None for cell in line.cells] for line in grid.lines] == [
        [True, False],
        [False, True],
    ]


def test_the_fastest_is_that_of_its_place_and_shape() -> None:
    rows = [
        measurement("teacher", threads=1, median_ms=8.0),
        measurement("student", threads=1, median_ms=4.0),
        measurement("student", threads=2, median_ms=3.0),
    ]
    cells = [line.cells[0] for line in build_grid(rows).lines]
    assert [cell and (cell.best, cell.share) for cell in cells] == [
        (False, 0.5),
        (True, 1.0),
        (True, 1.0),
    ]


def test_a_cell_says_how_far_its_time_is_from_the_floor() -> None:
    (line,) = build_grid([measurement("student", median_ms=12.0, floor_ms=5.0)]).lines
    cell = line.cells[0]
    assert cell is not None
    assert (cell.values[3], cell.texts[3], cell.floor) == (2.4, "2.4×", "5.00")


def test_equal_reasons_share_a_note_and_what_is_measured_has_a_remark() -> None:
    rows = [
        measurement("a/b", length=512, reason="too long", **UNTIMED),
        measurement("c/d", length=512, reason="too long", **UNTIMED),
        measurement("a/b", reason="random weights"),
        measurement("a/b", device="cuda", threads=None, reason="no CUDA device here", **UNTIMED),
    ]
    grid = build_grid(rows)
    assert grid.notes == ("too long", "no CUDA device here")
    assert [[cell and cell.note for cell in line.cells] for line in grid.lines] == [
        [None, 1],
        [None, 1],
        [2, None],
    ]
    assert grid.remarks == ("a/b: random weights",)


def test_a_file_is_listed_once_whatever_it_is_computed_in() -> None:
    rows = [
        measurement("student", runtime=runtime, precision=precision, length=length)
        for length in (32, 128)
        for runtime, precision in (
            ("torch", "float32"),
            ("torch", "bfloat16"),
            ("onnx", "float32"),
            ("onnx", "int8"),
        )
    ]
    assert [runtime_of(row) for row in distinct_files(rows)] == ["torch", "ONNX", "ONNX int8"]


def test_a_gpu_is_a_place_without_threads() -> None:
    assert placement_of(measurement("student", device="cuda", threads=None)) == "GPU"


def test_the_csv_file_holds_every_row_unrounded() -> None:
    rows = [
        measurement("student", median_ms=1 / 3),
        measurement("teacher", reason='a, "b"', **UNTIMED),
    ]
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert list(read[0]) == list(rows[0])
    assert [row["median_ms"] for row in read] == [str(1 / 3), ""]
    assert read[1]["reason"] == 'a, "b"'


def test_the_markdown_tables_have_a_column_for_every_title() -> None:
    content = example_report()
    rows = [*content["benchmark"], measurement("a|b", length=512, reason="too long", **UNTIMED)]
    text = to_markdown(rows, content["machine"])
    tables = [block.split("\n") for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "| 6.00 (5.00) |" in text.replace("**", "")
    assert "[1] too long." in text
    assert "Some Processor, 2 cores; torch 2.13.0, onnxruntime 1.32.0, transformers 5.23.0." in text
