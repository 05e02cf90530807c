"""Size and speed alone: the names of any models go in; a table of what they take here comes out, as data, Markdown and CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from distill.folders import write_whole
from distill.options import as_options, counts_of, section_of, words_of
from distill.progress import Progress, silence_libraries
from distill.recipe import BenchmarkSection

if TYPE_CHECKING:
    from rich.table import Table

    from distill.benchmark.stage import BenchmarkResult

FILES = ("benchmark.json", "benchmark.md", "benchmark.csv")


def benchmark_to_folder(
    models: Sequence[str],
    *,
    runtimes: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    threads: Sequence[str] | None = None,
    batch_sizes: Sequence[str] | None = None,
    lengths: Sequence[str] | None = None,
    seconds: float | None = None,
    output: Path,
    progress: Progress,
) -> BenchmarkResult:
    """Measure `models` as the options say, and write benchmark.json, benchmark.md and benchmark.csv to `output`.

    Raises UserError for what a user can put right, before anything is measured.
    """
    from distill.benchmark import stage
    from distill.benchmark.settings import RUNTIMES
    from distill.benchmark.subjects import check_subject, open_subject

    section = section_of(
        BenchmarkSection,
        {
            "models": [_named(model) for model in models],
            "runtimes": words_of(runtimes, "--runtimes", list(RUNTIMES)),
            "devices": words_of(devices, "--devices", ["cpu", "cuda", "all"]),
            "threads": counts_of(threads, "--threads", word="all"),
            "batch_sizes": counts_of(batch_sizes, "--batch-sizes"),
            "lengths": counts_of(lengths, "--lengths", least=3),
            "seconds": seconds,
        },
    )
    if output.exists() and not output.is_dir():
        raise UserError(f"--output: {output} is a file; name a folder.")
    silence_libraries()
    problems = []
    with as_options({"benchmark.models": "MODEL"}):
        for model in dict.fromkeys(section.models):
            try:
                check_subject(model)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=output) as folder:
            result = stage.run(section, open_model=open_subject, output=Path(folder), progress=progress)
    _write(result, section, output)
    return result


def benchmark_tables(result: BenchmarkResult) -> list[Table | str]:
    """What the command line prints: sizes, the grid of medians beside their floors, and what must be known of them."""
    from rich.markup import escape
    from rich.table import Table

    from distill.report.formats import format_bytes, format_count, format_ms
    from distill.report.grid import build_grid, describe, distinct_files, runtime_of

    rows = [asdict(row) for row in result.measurements]
    grid = build_grid(rows)
    sizes = Table("model", "runtime", box=None, pad_edge=False)
    for title in ("parameters", "on disk", "loads in, ms"):
        sizes.add_column(title, justify="right")
    for row in distinct_files(rows):
        figures = format_count(row["parameters"]), format_bytes(row["bytes_on_disk"]), format_ms(row["load_ms"])
        sizes.add_row(escape(row["model"]), runtime_of(row), *figures)
    times = Table(
        "model", "runtime", "on", box=None, pad_edge=False, title="ms by batch x tokens (floor)", title_justify="left"
    )
    for batch, length in grid.shapes:
        times.add_column(f"{batch} x {length}", justify="right")
    for line in grid.lines:
        cells = []
        for cell in line.cells:
            if cell is None or cell.note is not None:
                cells.append("" if cell is None else f"– {escape(f'[{cell.note}]')}")
            else:
                cells.append(f"[bold]{cell.texts[0]}[/bold] ({cell.floor})" if cell.best else f"{cell.texts[0]} ({cell.floor})")
        times.add_row(escape(line.model), line.runtime, line.place, *cells)
    notes = [escape(f"[{number}] {note}.") for number, note in enumerate(grid.notes, 1)]
    return [sizes, "", times, "", *notes, *(escape(f"{remark}.") for remark in grid.remarks), escape(describe(result.machine))]


def _named(model: str) -> str:
    """A model's name as the section takes it: a folder of one word is a path. Raises UserError for any other single word."""
    if "/" in model or model.startswith(("package:", ".", "~")):
        return model
    if Path(model).is_dir():
        return f"./{model}"
    raise UserError(f"MODEL: there is no folder {model}; a Hub id reads organisation/name.")


def _write(result: BenchmarkResult, section: BenchmarkSection, output: Path) -> None:
    from distill.report.grid import to_csv, to_markdown

    rows = [asdict(row) for row in result.measurements]
    content: dict[str, Any] = {"settings": section.model_dump(mode="json"), "benchmark": rows, "machine": result.machine}
    texts = (
        json.dumps(content, ensure_ascii=False, indent=2) + "\n",
        to_markdown(rows, result.machine),
        to_csv(rows),
    )
    for name, text in zip(FILES, texts, strict=True):
        write_whole(output / name, text)
