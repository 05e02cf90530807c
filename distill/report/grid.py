"""The latency grid: rows of the benchmark go in; a line for each model in each placement comes
out, with a cell for each shape.

The page, the Markdown file and the terminal show the same grid; the CSV file holds the rows
themselves.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.report.formats import format_bytes, format_count, format_ms, markdown_table

Row = Mapping[str, Any]
Shape = tuple[int, int]
MEASURES = ("median, ms", "95th percentile, ms", "sequences/s", "times the floor", "peak memory")
"""What a cell can show."""
RUNTIMES = {"torch": "torch", "onnx": "ONNX", "openvino": "OpenVINO"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One model in one placement at one shape."""

    values: tuple[float | None, ...]
    """Its measures, in the order of MEASURES."""
    texts: tuple[str, ...]
    floor: str
    note: int | None
    """The number of the note that says why it has no time."""
    best: bool
    """Whether nothing in the same placement is faster at this shape."""
    share: float
    """The time of the fastest there over its own: 1 for the fastest, 0 without a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model in one runtime and one placement."""

    model: str
    runtime: str
    placement: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Latency at a glance."""

    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    """Why cells have no time, numbered from 1."""
    remarks: tuple[str, ...]
    """What a reader of a model's times and sizes must know."""


def build_grid(rows: Sequence[Row]) -> Grid:
    """The grid of a benchmark's rows, lines in the order in which they come."""
    shapes = tuple(sorted({_shape(row) for row in rows}))
    notes = tuple(dict.fromkeys(_obstacle(row) for row in rows if row["median_ms"] is None))
    fastest: dict[tuple[str, Shape], float] = {}
    lines: dict[tuple[str, str, str], dict[Shape, Row]] = {}
    remarks: dict[str, dict[str, None]] = {}
    for row in rows:
        lines.setdefault((row["model"], runtime_of(row), placement_of(row)), {})[_shape(row)] = row
        if row["median_ms"] is not None:
            key = (placement_of(row), _shape(row))
            fastest[key] = min(fastest.get(key, row["median_ms"]), row["median_ms"])
            if row["reason"]:
                remarks.setdefault(row["reason"], {})[row["model"]] = None
    return Grid(
        shapes=shapes,
        lines=tuple(
            Line(
                model=model,
                runtime=runtime,
                placement=placement,
                cells=tuple(
                    _cell(measured.get(shape), fastest.get((placement, shape)), notes)
                    for shape in shapes
                ),
            )
            for (model, runtime, placement), measured in lines.items()
        ),
        notes=notes,
        remarks=tuple(f"{', '.join(models)}: {reason}" for reason, models in remarks.items()),
    )


def distinct_files(rows: Iterable[Row]) -> list[Row]:
    """The first row of each file that a model is loaded from: what bfloat16 runs on are the files
    of float32.
    """
    files: dict[tuple[str, str, bool], Row] = {}
    for row in rows:
        files.setdefault((row["model"], row["runtime"], row["precision"] == "int8"), row)
    return list(files.values())


def runtime_of(row: Row) -> str:
    """What ran the model: torch, torch bfloat16, ONNX, ONNX int8."""
    name = RUNTIMES[row["runtime"]]
    return name if row["precision"] == "float32" else f"{name} {row['precision']}"


def placement_of(row: Row) -> str:
    """Where it ran: GPU, or CPU with its threads."""
    if row["threads"] is None:
        return "GPU" if row["device"] == "cuda" else row["device"].upper()
    return (
        f"{row['device'].upper()}, {row['threads']} "
        f"{'thread' if row['threads'] == 1 else 'threads'}"
    )


def to_csv(rows: Sequence[Row]) -> str:
    """Every row with every key, unrounded; what is not measured is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Sizes and the grid of medians as Markdown tables, each median beside its floor."""
    grid = build_grid(rows)
    sizes = [
        [
            row["model"],
            runtime_of(row),
            format_count(row["parameters"]),
            format_bytes(row["bytes_on_disk"]),
            format_ms(row["load_ms"]),
        ]
        for row in distinct_files(rows)
    ]
    times = [
        [
            line.model,
            line.runtime,
            line.placement,
            *(_as_text(cell) for cell in line.cells),
        ]  # a line each
        for line in grid.lines
    ]
    parts = [
        markdown_table(
            ["model", "runtime", "parameters", "on disk", "loads in, ms"], sizes, words=2
        ),
        "Median milliseconds of a forward pass by batch size × tokens; in brackets the floor, what "
        "the machine's own matrix "
        "products and memory would allow at least.",
        markdown_table(
            ["model", "runtime", "on", *(f"{batch} × {length}" for batch, length in grid.shapes)],
            times,
            words=3,
        ),
        *(f"[{number}] {note}." for number, note in enumerate(grid.notes, 1)),
        *(f"{remark}." for remark in grid.remarks),
        describe(machine),
    ]
    return "\n\n".join(parts) + "\n"


def describe(machine: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    parts = [machine["processor"], f"{machine['cores']} cores", machine["gpu"]]
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("torch", "onnxruntime", "transformers")
        if name in machine
    )
    return f"{', '.join(part for part in parts if part)}; {versions}."


def _cell(row: Row | None, fastest: float | None, notes: tuple[str, ...]) -> Cell | None:
    if row is None:
        return None
    median, floor = row["median_ms"], row["floor_ms"]
    times_floor = median / floor if median is not None and floor else None
    return Cell(
        values=(
            median,
            row["p95_ms"],
            row["sequences_per_second"],
            times_floor,
            row["peak_memory_bytes"],
        ),
        texts=(
            format_ms(median),
            format_ms(row["p95_ms"]),
            format_count(row["sequences_per_second"]),
            "–" if times_floor is None else f"{times_floor:.1f}×",
            format_bytes(row["peak_memory_bytes"]),
        ),
        floor=format_ms(floor),
        note=notes.index(_obstacle(row)) + 1 if median is None else None,
        best=median is not None and median == fastest,
        share=fastest / median if median and fastest else 0.0,
    )


def _obstacle(row: Row) -> str:
    """Why a row has no time: the first of its reasons; the others hold for the model at every
    shape.
    """
    return str(row["reason"] or "not measured").split("; ")[0]


def _as_text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.note is not None:
        return f"– [{cell.note}]"
    median = f"**{cell.texts[0]}**" if cell.best else cell.texts[0]
    return f"{median} ({cell.floor})"


def _shape(row: Row) -> Shape:
    return row["batch_size"], row["length"]
