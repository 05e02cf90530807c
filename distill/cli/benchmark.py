"""Any models, without a recipe: their names go in; what they take here, and what they can do, comes
out.

As data, Markdown and CSV. With tasks, scores are measured first, since those can be gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from distill.cli.console import OUT, report_interrupt
from distill.cli.options import as_options, counts_of, model_name, section_of, words_of
from distill.runtime.errors import UserError
from distill.runtime.files import write_whole

if TYPE_CHECKING:
    from rich.table import Table

    from distill.recipe.reading import TasksFile
    from distill.report.results.benchmark import BenchmarkResult
    from distill.report.results.evaluation import EvaluationResult
    from distill.runtime.interruption import Interruption
    from distill.runtime.progress import Progress

DATA_FILE = "benchmark.json"


def benchmark(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Hub ids, folders, runs, package:NAME.")
    ],
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Score them, too: a YAML file with a list of tasks, or a recipe.",
            metavar="FILE",
            show_default="no scores",
        ),
    ] = None,
    runtimes: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, torch_bfloat16, onnx, onnx_int8, openvino, openvino_int8.",
            show_default="the first four",
        ),
    ] = None,
    devices: Annotated[
        list[str] | None, typer.Option(help="cpu, cuda.", show_default="those there are")
    ] = None,
    threads: Annotated[
        list[str] | None, typer.Option(help="Numbers of CPU threads, or all.", show_default="1,all")
    ] = None,
    batch_sizes: Annotated[
        list[str] | None, typer.Option(help="Sequences at once.", show_default="1,8,32")
    ] = None,
    lengths: Annotated[
        list[str] | None, typer.Option(help="Tokens of a sequence.", show_default="32,128,512")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Time for each combination, all models together.", show_default="4"),
    ] = None,
    output: Annotated[Path, typer.Option(help="The folder to write the figures to.")] = Path(
        "benchmark"
    ),
) -> None:
    """Measure size, latency, memory and loading of any models, beside the floor of what this
    machine allows.

    With --tasks all are fine-tuned and scored, and compared with the first. Options take several
    values with commas: --threads 1,all.
    """
    from distill.runtime.interruption import Interruption
    from distill.runtime.progress import Progress

    interruption = Interruption()
    with interruption.handled(), report_interrupt():
        comparison = benchmark_to_folder(
            models,
            tasks=tasks,
            runtimes=runtimes,
            devices=devices,
            threads=threads,
            batch_sizes=batch_sizes,
            lengths=lengths,
            seconds=seconds,
            output=output,
            progress=Progress(),
            interruption=interruption,
        )
    for part in comparison_tables(comparison):
        OUT.print(part, soft_wrap=isinstance(part, str))
    OUT.print(
        f"figures: {', '.join(str(output / name) for name in comparison.files)}",
        markup=False,
        soft_wrap=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What was measured of the models."""

    benchmark: BenchmarkResult
    evaluation: EvaluationResult | None
    """None without tasks."""
    files: tuple[str, ...]
    """What was written."""


def benchmark_to_folder(
    models: Sequence[str],
    *,
    tasks: str | None = None,
    runtimes: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    threads: Sequence[str] | None = None,
    batch_sizes: Sequence[str] | None = None,
    lengths: Sequence[str] | None = None,
    seconds: float | None = None,
    output: Path,
    progress: Progress,
    interruption: Interruption | None = None,
) -> Comparison:
    """Measure `models` as the options say, and write benchmark.json, benchmark.md and benchmark.csv
    to `output`.

    With `tasks`, a file or a recipe's name, they are scored, too, the first as the reference, into
    scores.md and scores.csv. Raises UserError for what a user can put right, before anything is
    measured, and Interrupted after a signal.
    """
    from distill.benchmark.measure import measure_models
    from distill.benchmark.settings import RUNTIMES
    from distill.benchmark.subjects import check_subject, open_subject
    from distill.cli.scoring import score_models
    from distill.openvino.installed import check_openvino
    from distill.recipe import BenchmarkSection
    from distill.runtime.interruption import Interruption
    from distill.runtime.progress import silence_libraries

    section = section_of(
        BenchmarkSection,
        {
            "models": [model_name(model) for model in models],
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
    if any(runtime.startswith("openvino") for runtime in section.runtimes):
        with as_options({"benchmark.runtimes": "--runtimes"}):
            check_openvino("benchmark.runtimes")
    told = None if tasks is None else _tasks(tasks)
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
        evaluation = None
        if told is not None:
            evaluation = score_models(
                section.models,
                told,
                output=output,
                progress=progress,
                interruption=interruption or Interruption(),
            )
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=output) as folder:
            result = measure_models(
                section, open_model=open_subject, output=Path(folder), progress=progress
            )
    content: dict[str, object] = {
        "settings": section.model_dump(mode="json"),
        "benchmark": [asdict(row) for row in result.measurements],
        "machine": asdict(result.machine),
        "evaluation": None,
    }
    if told is not None and evaluation is not None:
        content["protocol"] = told.evaluation.model_dump(
            mode="json", exclude_none=True, exclude={"models"}
        ) | {"seed": told.seed}
        content["reference"] = section.models[0]
        content["evaluation"] = [asdict(score) for score in evaluation.scores]
        content["rows"] = {
            name: evaluation.counts.get(name, {"test": rows})
            for name, rows in evaluation.rows.items()
        }
    return Comparison(benchmark=result, evaluation=evaluation, files=_write(content, output))


def comparison_tables(comparison: Comparison) -> list[Table | str]:
    """What the command line prints: scores, sizes, medians beside their floors, and what must be
    known of them.
    """
    scores = (
        ()
        if comparison.evaluation is None
        else _score_tables([asdict(score) for score in comparison.evaluation.scores])
    )
    return [*scores, *benchmark_tables(comparison.benchmark)]


def benchmark_tables(result: BenchmarkResult) -> list[Table | str]:
    """Sizes, the grid of medians beside their floors, and what must be known of them."""
    from rich.table import Table

    from distill.report.formats import format_bytes, format_count, format_ms
    from distill.report.grid import build_grid, describe, distinct_files, runtime_of

    rows = [asdict(row) for row in result.measurements]
    grid = build_grid(rows)
    sizes = Table("model", "runtime", box=None, pad_edge=False)
    for title in ("parameters", "on disk", "loads in, ms"):
        sizes.add_column(title, justify="right")
    for row in distinct_files(rows):
        figures = (
            format_count(row["parameters"]),
            format_bytes(row["bytes_on_disk"]),
            format_ms(row["load_ms"]),
        )
        sizes.add_row(escape(row["model"]), runtime_of(row), *figures)
    times = Table(
        "model",
        "runtime",
        "on",
        box=None,
        pad_edge=False,
        title="ms by batch x tokens (floor)",
        title_justify="left",
    )
    for batch, length in grid.shapes:
        times.add_column(f"{batch} x {length}", justify="right")
    for line in grid.lines:
        cells = []
        for cell in line.cells:
            if cell is None or cell.note is not None:
                cells.append("" if cell is None else f"– {escape(f'[{cell.note}]')}")
            else:
                cells.append(
                    f"[bold]{cell.texts[0]}[/bold] ({cell.floor})"
                    if cell.best
                    else f"{cell.texts[0]} ({cell.floor})"
                )
        times.add_row(escape(line.model), line.runtime, line.placement, *cells)
    notes = [escape(f"[{number}] {note}.") for number, note in enumerate(grid.notes, 1)]
    return [
        sizes,
        "",
        times,
        "",
        *notes,
        *(escape(f"{remark}.") for remark in grid.remarks),
        escape(describe(asdict(result.machine))),
    ]


def _tasks(name: str) -> TasksFile:
    from distill.recipe.reading import load_tasks

    try:
        return load_tasks(name)
    except UserError as error:
        raise UserError(f"--tasks: {error}") from error


def _score_tables(rows: Sequence[Mapping[str, Any]]) -> list[Table | str]:
    from rich.table import Table

    from distill.report.scores import TITLES, score_lines

    lines, notes = score_lines(rows)
    table = Table(*TITLES[:3], box=None, pad_edge=False)
    for title in TITLES[3:]:
        table.add_column(title, justify="right")
    for line in lines:
        table.add_row(*map(escape, line))
    return [
        table,
        "",
        *(escape(f"[{number}] {note}.") for number, note in enumerate(notes, 1)),
        *([""] if notes else []),
    ]


def _write(content: Mapping[str, Any], output: Path) -> tuple[str, ...]:
    """Write the figures as data, Markdown and CSV; the names of the files."""
    from distill.report.published import published_scores
    from distill.report.tables import table_texts

    names = {row["model"]: row["model"] for row in content["benchmark"]}
    shown = {
        "student": None,
        "teacher": None,
        "vocabulary": None,
        "published": published_scores(names),
    }
    texts = {
        DATA_FILE: json.dumps(content, ensure_ascii=False, indent=2) + "\n",
        **table_texts(shown | dict(content)),
    }
    for name, text in texts.items():
        write_whole(output / name, text)
    return tuple(texts)
