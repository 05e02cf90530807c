"""The table of a run: report.json's content goes in; a line a model comes out, with a cell for each
task and metric.

The page, the plot and the Markdown and CSV files show the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.report.content import margin_of, summary_scores
from distill.report.estimates import Estimate, mean_estimate, span_of
from distill.report.formats import format_count
from distill.report.grid import placement_of

Row = Mapping[str, Any]
_SHAPED_LIKE_STUDENT = ("student", "student_int8", "initial", "untrained", "scratch")
"""The models of a run that have the student's architecture, and so as many parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A task under one metric."""

    task: str
    metric: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model: its size, how long a text takes it, and its scores."""

    model: str
    parameters: int | None
    bytes_on_disk: int | None
    median_ms: float | None
    mean: Row | None
    """Over the first metrics of all tasks; None where one of them is missing."""
    cells: tuple[Row | None, ...]
    """Its scores in the order of the columns, as report.json has them; None where it was not asked
    for.
    """
    published: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoreboard:
    """Models × tasks."""

    columns: tuple[Column, ...]
    """The first metric of every task, then the others."""
    tasks: int
    """How many of the columns are first metrics."""
    lines: tuple[Line, ...]
    setting: str | None
    """Where, and of what shape, the latencies are."""
    notes: tuple[str, ...]
    """Why models have no score, numbered from 1."""
    remarks: tuple[str, ...]
    """What a reader of the scores must know."""
    margin: float | None
    """Differences within it count as none."""

    def note_of(self, cell: Row | None) -> int | None:
        """The number of the note that says why a cell has no score."""
        return (
            None
            if cell is None or cell["mean"] is not None
            else self.notes.index(cell["reason"] or _UNKNOWN) + 1
        )


_UNKNOWN = "not measured"


def build_scoreboard(content: Mapping[str, Any]) -> Scoreboard:
    """The table of a report, models in the order in which they come; the reference is the teacher,
    or the one it names.
    """
    scores: Sequence[Row] = summary_scores(content)
    columns = _columns(scores)
    tasks = len({column.task for column in columns})
    by_cell = {(row["model"], row["task"], row["metric"]): row for row in scores}
    setting, timed = comparable_latencies(content["benchmark"] or [])
    parameters = known_parameters(content)
    sizes = {
        row["model"]: row["bytes_on_disk"]
        for row in reversed(content["benchmark"] or [])
        if not _is_other_form(row)
    }
    names = list(dict.fromkeys(row["model"] for row in (*scores, *(content["benchmark"] or []))))
    cells = {
        name: tuple(
            by_cell.get((name, column.task, column.metric)) for column in columns
        )  # a cell a column
        for name in names
    }
    margin = margin_of(content)
    means = {name: mean_of(cells[name][:tasks], margin) for name in names}
    return Scoreboard(
        columns=columns,
        tasks=tasks,
        lines=tuple(
            Line(
                model=name,
                parameters=parameters.get(name),
                bytes_on_disk=sizes.get(name),
                median_ms=timed.get(name),
                mean=means[name],
                cells=cells[name],
                published=tuple(row for row in content["published"] if row["model"] == name),
            )
            for name in names
        ),
        setting=setting,
        notes=tuple(
            dict.fromkeys(row["reason"] or _UNKNOWN for row in scores if row["mean"] is None)
        ),
        remarks=(
            *dict.fromkeys(
                row["reason"] for row in scores if row["mean"] is not None and row["reason"]
            ),
            *([_how_scratch_learnt(content["scratch"])] if content.get("scratch") else []),
        ),
        margin=margin,
    )


def _how_scratch_learnt(scratch: Mapping[str, Any]) -> str:
    losses = ", ".join(
        f"{'not finite' if loss is None else f'{loss:.2f}'} at {rate}"
        for rate, loss in scratch["heldout_loss"].items()
    )
    return (
        f"scratch saw {format_count(scratch['tokens'])} tokens at a learning rate of "
        f"{scratch['learning_rate']:g}, chosen by "
        f"its loss on masked held-out pieces in nats: {losses}"
    )


def mean_of(cells: Sequence[Row | None], margin: float | None = None) -> Row | None:
    """The unweighted mean of a model's scores, as GLUE averages metrics (Wang et al. 2019), with
    the mean difference from the reference and the mean retention; None where a score is missing.

    Tasks' errors are taken for independent. There is no retention where one task has none. With a
    margin it says whether the difference is equivalent to none.
    """
    rows = [row for row in cells if row is not None and row["mean"] is not None]
    if not rows or len(rows) < len(cells):
        return None
    mean, difference, retention = (
        _mean_figure(rows, figure) for figure in ("mean", "difference", "retention")
    )
    return {
        **mean,
        "low": mean["mean_low"],
        "high": mean["mean_high"],
        **difference,
        **retention,
        "equivalent": None if margin is None else _is_equivalent(rows, margin),
        "reason": None,
    }


_ERRORS = {
    "mean": ("error", "freedom"),
    "difference": ("difference_error", "difference_freedom"),
    "retention": ("retention_error", "retention_freedom"),
}


def _mean_figure(rows: Sequence[Row], figure: str) -> dict[str, float | None]:
    """The mean over tasks of one figure, and its interval where every task has an error of it."""
    if any(row.get(figure) is None for row in rows):
        return {figure: None, f"{figure}_low": None, f"{figure}_high": None}
    estimate = _mean_estimate(rows, figure)
    if estimate is None:
        mean = sum(row[figure] for row in rows) / len(rows)
        return {figure: mean, f"{figure}_low": None, f"{figure}_high": None}
    low, high = estimate.interval(_span_of_mean(rows) if figure == "mean" else None)
    return {figure: estimate.value, f"{figure}_low": low, f"{figure}_high": high}


def _span_of_mean(rows: Sequence[Row]) -> tuple[float, float] | None:
    """The values that a mean over these metrics can have; None where one of them is not known."""
    spans = [span_of(row.get("metric", "")) for row in rows]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        return None
    low, high = (sum(ends) / len(known) for ends in zip(*known, strict=True))
    return low, high


def _is_equivalent(rows: Sequence[Row], margin: float) -> bool | None:
    """Whether the mean difference's 90% interval lies within the margin."""
    estimate = _mean_estimate(rows, "difference")
    return None if estimate is None else estimate.is_within(margin)


def _mean_estimate(rows: Sequence[Row], figure: str) -> Estimate | None:
    """The mean over tasks of one figure; None where a task has no error of it."""
    error, freedom = _ERRORS[figure]
    if any(row.get(figure) is None or row.get(error) is None for row in rows):
        return None
    return mean_estimate(
        [Estimate(value=row[figure], error=row[error], freedom=row[freedom]) for row in rows]
    )


def known_parameters(content: Mapping[str, Any]) -> dict[str, int]:
    """Parameters by model: measured, or those of the architecture that the run gave it."""
    known: dict[str, int] = {}
    if content["student"]:
        known |= dict.fromkeys(_SHAPED_LIKE_STUDENT, content["student"]["parameters"])
    if content["teacher"]:
        known["teacher"] = content["teacher"]["parameters"]
    if content["vocabulary"]:
        known["trimmed"] = content["vocabulary"]["chosen"]["parameters"]
    return known | {
        row["model"]: row["parameters"] for row in content["benchmark"] or [] if row["parameters"]
    }


def comparable_latencies(benchmark: Sequence[Row]) -> tuple[str | None, dict[str, float]]:
    """The one setting in which most models have a time, in words, and each model's median there, in
    milliseconds.

    Among equals the CPU, the smallest batch, the longest texts and the most threads.
    """
    settings: dict[tuple[Any, ...], list[Row]] = {}
    for row in benchmark:
        if row["median_ms"] is not None and not _is_other_form(row):
            settings.setdefault(
                (row["device"], row["threads"], row["batch_size"], row["length"]), []
            ).append(row)

    def worth(setting: tuple[Any, ...]) -> tuple[Any, ...]:
        device, threads, batch_size, length = setting
        return (
            len({row["model"] for row in settings[setting]}),
            device == "cpu",
            -batch_size,
            length,
            threads or 0,
        )

    if not settings:
        return None, {}
    rows = settings[max(settings, key=worth)]
    words = f"{rows[0]['length']} tokens, batch {rows[0]['batch_size']}, {placement_of(rows[0])}"
    return words, {row["model"]: row["median_ms"] for row in rows}


def _is_other_form(row: Row) -> bool:
    """Whether a row of the benchmark is of a model in another runtime or precision than the model
    itself has.
    """
    form = ("onnx", "int8") if row["model"] == "student_int8" else ("torch", "float32")
    return (row["runtime"], row["precision"]) != form


def _columns(scores: Iterable[Row]) -> tuple[Column, ...]:
    every = dict.fromkeys((row["task"], row["metric"]) for row in scores)
    first: dict[str, str] = {}
    for task, metric in every:
        first.setdefault(task, metric)
    order = [*first.items(), *(column for column in every if first[column[0]] != column[1])]
    return tuple(Column(task=task, metric=metric) for task, metric in order)
