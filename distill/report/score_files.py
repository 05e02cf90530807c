"""The table of scores as files: a scoreboard goes in; Markdown for a README and CSV for a
spreadsheet come out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from distill.report.content import is_at_chance
from distill.report.formats import (
    format_bytes,
    format_count,
    format_interval,
    format_metric,
    format_ms,
    format_score,
    markdown_table,
)
from distill.report.measured import (
    AT_CHANCE,
    at_edge,
    chance_in_words,
    model_facts,
    overlap_in_words,
    rows_in_words,
    task_facts,
)
from distill.report.published import TITLE, list_protocols
from distill.report.scoreboard import Line, Row, Scoreboard

_FIGURES = (
    "mean",
    "low",
    "high",
    "chance",
    "difference",
    "difference_low",
    "difference_high",
    "equivalent",
    "retention",
    "retention_low",
    "retention_high",
    "learning_rate",
    "dev",
)
_OF_TASKS = ("task", "rows", "guessing scores", "12 words in a row in the distillation text")
_HOW = (
    "test_rows",
    "train_rows",
    "distinct_train_rows",
    "rate_at_edge",
    "runtime",
    "precision",
    "threads",
    "commit",
)


def to_markdown(board: Scoreboard) -> str:
    """The table, each score with its 95% interval, under it what must be known of it."""
    published = list_protocols(score for line in board.lines for score in line.published)
    titles = ["model", "parameters", "on disk", "ms", *(["mean"] if board.tasks > 1 else [])]
    titles += [f"{column.task}, {format_metric(column.metric)}" for column in board.columns]
    rows = [
        [*_line(board, line), *([published_text(line)] if published else [])]
        for line in board.lines
    ]
    parts = [
        markdown_table(titles + ([TITLE] if published else []), rows, words=1),
        f"In brackets 95% intervals; ms are for {board.setting}."
        if board.setting
        else "In brackets 95% intervals.",
        *(
            [f"The mean is that of the {board.tasks} tasks' first metrics, unweighted."]
            if board.tasks > 1
            else []
        ),
        *(f"[{number}] {note}." for number, note in enumerate(board.notes, 1)),
        *(f"{remark}." for remark in board.remarks),
        *(
            f"{TITLE}: {protocol.name} ({', '.join(protocol.tasks)}), {protocol.description}."
            for protocol in published
        ),
    ]
    return "\n\n".join(parts) + "\n"


def facts_markdown(content: Mapping[str, Any]) -> str:
    """How the scores were come by: the rows of tasks, what guessing scores, and by model runtime,
    threads and commit; nothing where no score says so.
    """
    tasks = [
        (facts.task, rows_in_words(facts), chance_in_words(facts), overlap_in_words(facts))
        for facts in task_facts(content)
    ]
    models = [
        (facts.model, facts.runtime, facts.threads, facts.commit) for facts in model_facts(content)
    ]
    if not tasks:
        return ""
    parts = [
        markdown_table(_OF_TASKS, tasks, words=4),
        markdown_table(["model", "runtime", "threads", "commit"], models, words=4),
        *(
            f"The learning rate of {model} is at the edge of the grid on {', '.join(edges)}."
            for model, edges in at_edge(content).items()
        ),
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def to_csv(board: Scoreboard) -> str:
    """A row a model, unrounded: of each task and metric the figures that were measured, then what
    others published.
    """
    rows = [_record(board, line) for line in board.lines]
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        fieldnames=list(dict.fromkeys(key for row in rows for key in row)),
        lineterminator="\n",
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def published_text(line: Line) -> str:
    """What others published of a model: SweReC 0.733; ScaLA 0.695."""
    return "; ".join(f"{score['task']} {format_score(score['mean'])}" for score in line.published)


def _line(board: Scoreboard, line: Line) -> list[str]:
    cells = [*([line.mean] if board.tasks > 1 else []), *line.cells]
    size = [
        format_count(line.parameters),
        format_bytes(line.bytes_on_disk),
        format_ms(line.median_ms),
    ]
    return [line.model, *size, *(_text(cell, board.note_of(cell)) for cell in cells)]


def _text(cell: Row | None, note: int | None) -> str:
    if cell is None or cell["mean"] is None:
        return "–" if note is None else f"– [{note}]"
    interval = format_interval(cell["low"], cell["high"])
    said = f" {AT_CHANCE}" if is_at_chance(cell) else ""
    return format_score(cell["mean"]) + (f" ({interval})" if interval else "") + said


def _record(board: Scoreboard, line: Line) -> dict[str, object]:
    record: dict[str, object] = {
        "model": line.model,
        "parameters": line.parameters,
        "bytes_on_disk": line.bytes_on_disk,
        "median_ms": line.median_ms,
        "median_ms_for": board.setting,
    }
    named = [("mean of tasks", line.mean)] if board.tasks > 1 else []
    named += [
        (f"{column.task} {column.metric}", cell)
        for column, cell in zip(board.columns, line.cells, strict=True)
    ]
    for name, cell in named:
        record |= {
            f"{name} {figure}": None if cell is None else cell.get(figure) for figure in _FIGURES
        }
        how = None if cell is None else cell.get("provenance")
        record |= {f"{name} {key}": value for key, value in (how or {}).items() if key in _HOW}
        record[f"{name} reason"] = None if cell is None else cell["reason"]
    for score in line.published:
        record[f"{TITLE}: {score['protocol']} {score['task']} {score['metric']}"] = score["mean"]
    return record
