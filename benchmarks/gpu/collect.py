"""What came back goes in; benchmarks/results/gpu-*.json, tables, and the finished student come
out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.run import RESULTS
from benchmarks.gpu.steps.distillation import STUDENTS, read_weights
from distill.models.saving import save_model
from distill.report.formats import markdown_table

Row = dict[str, Any]


def collect(folder: Path, returned: Path, results: Path, student: Path | None) -> list[Path]:
    """Write one file of figures for each step that gave any, and into `student` a folder for each
    student whose weights came back; the files of figures.
    """
    lines = (returned / RESULTS).read_text(encoding="utf-8").splitlines()
    # Steps that ran side by side scored the same teacher each.
    rows: list[Row] = [json.loads(line) for line in dict.fromkeys(lines)]
    machine = next(row for row in rows if row["step"] == "machine")
    about = {key: value for key, value in machine.items() if key not in ("step", "what")}
    written = []
    results.mkdir(parents=True, exist_ok=True)
    for step in dict.fromkeys(row["step"] for row in rows if row["step"] != "machine"):
        figures = [
            {key: value for key, value in row.items() if key != "step"}
            for row in rows
            if row["step"] == step
        ]
        path = results / f"gpu-{step}.json"
        content = {"machine": about, "rows": figures}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        written.append(path)
    if student is not None:
        finish(Bundle(folder), returned, student)
    return written


def finish(bundle: Bundle, returned: Path, output: Path) -> None:
    """A folder for each student whose weights came back: the initial one with those."""
    for name, planned in STUDENTS.items():
        if any(returned.glob(f"{name}-*.safetensors")):
            student = planned.recipe.student(bundle, bundle.teacher())
            read_weights(name, student, returned)
            save_model(student, bundle.tokenizer, output / name)


def tables(results: Path) -> str:
    """The figures as Markdown tables."""
    parts = []
    for name, key, columns in (
        ("latency", "latency", LATENCY_COLUMNS),
        ("throughput", "throughput", THROUGHPUT_COLUMNS),
        ("arms", "arm", ARM_COLUMNS),
        ("distillation", "score", SCORE_COLUMNS),
    ):
        path = results / f"gpu-{name}.json"
        if path.is_file():
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            parts.append(table([row for row in rows if row["what"] == key], columns))
    return "\n\n".join(parts)


LATENCY_COLUMNS = ("model", "precision", "batch_size", "length", "median_ms", "times_floor")
THROUGHPUT_COLUMNS = ("model", "text", "kernel", "compiled", "batch_tokens")
THROUGHPUT_COLUMNS += ("tokens_per_second", "share_of_peak", "failed")
ARM_COLUMNS = ("name", "parameters", "seconds", "mrr@10", "centred_cosine", "neighbour_agreement")
SCORE_COLUMNS = ("model", "task", "metric", "value", "rows")


def table(rows: Iterable[Row], columns: tuple[str, ...]) -> str:
    """Rows as a Markdown table."""
    cells = ([shown(row.get(column, "")) for column in columns] for row in rows)
    return markdown_table(columns, cells, words=1)


def shown(value: object) -> str:
    """A figure with four digits that count."""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
