"""What the picture shows: a scoreboard goes in; a panel a task, with a mark a model, comes out."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from distill.report.formats import format_metric
from distill.report.scoreboard import Row, Scoreboard

_NAME_WIDTH, _NAMED = 22, 7
"""Characters of a line of a label; models up to which all are labelled by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One model in a panel."""

    model: str
    parameters: int
    mean: float
    low: float
    high: float
    median_ms: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One task, or the mean over all."""

    name: str
    title: str
    metric: str
    marks: tuple[Mark, ...]


def list_panels(board: Scoreboard) -> list[Panel]:
    """The mean where there are several tasks, then a panel a task; those without a mark are left
    out.
    """
    panels: list[Panel] = []
    if board.tasks > 1:
        means = [line.mean for line in board.lines]
        panels.append(
            Panel(
                name="mean",
                title=f"Mean of {board.tasks} tasks",
                metric="score",
                marks=_marks(board, means),
            )
        )
    for position, column in enumerate(board.columns[: board.tasks]):
        marks = _marks(board, [line.cells[position] for line in board.lines])
        panels.append(
            Panel(
                name=f"task-{position}",
                title=column.task,
                metric=format_metric(column.metric),
                marks=marks,
            )
        )
    return [panel for panel in panels if panel.marks]


def list_unshown(board: Scoreboard) -> list[str]:
    """What the panels leave out, and why, in words."""
    told = []
    for line in board.lines:
        measured = [cell for cell in line.cells[: board.tasks] if cell and cell["mean"] is not None]
        if not measured:
            told.append(f"{line.model} (no score)")
        elif line.parameters is None:
            told.append(f"{line.model} (size not known)")
        elif len(measured) < board.tasks:
            told.append(f"{line.model} in the mean (not all tasks)")
    return told


def letter_keys(board: Scoreboard) -> dict[str, str]:
    """A letter for each model that is not the run's own, where names would not fit into a panel; by
    name.
    """
    shown = [
        line.model
        for line in board.lines
        if any(cell and cell["mean"] is not None for cell in line.cells)
    ]
    others = [model for model in shown if "/" in model]
    if len(shown) <= _NAMED or len(others) > len(ascii_uppercase):
        return {}
    return dict(zip(others, ascii_uppercase, strict=False))


def short_names(models: Sequence[str]) -> dict[str, str]:
    """Models as labels: without the organisation where no other model has the name, over several
    lines where long.
    """
    last = Counter(model.rstrip("/").rsplit("/", 1)[-1] for model in models)
    names = {}
    for model in models:
        short = model.rstrip("/").rsplit("/", 1)[-1]
        name = short if short and last[short] == 1 else model
        names[model] = "\n".join(textwrap.wrap(name, _NAME_WIDTH) or [model])
    return names


def score_range(marks: Sequence[Mark]) -> tuple[float, float]:
    """The scores to show: all means, and of wide intervals as much as leaves the means apart."""
    means = [mark.mean for mark in marks]
    spread = max(max(means) - min(means), 0.05)
    low = max(min(mark.low for mark in marks), min(means) - spread / 2)
    high = min(max(mark.high for mark in marks), max(means) + spread / 2)
    return low - 0.12 * spread, high + 0.12 * spread


def _marks(board: Scoreboard, cells: Sequence[Row | None]) -> tuple[Mark, ...]:
    """The slowest first, so that the marks of faster ones lie upon them."""
    marks = [
        Mark(
            model=line.model,
            parameters=line.parameters,
            mean=cell["mean"],
            low=cell["mean"] if cell["low"] is None else cell["low"],
            high=cell["mean"] if cell["high"] is None else cell["high"],
            median_ms=line.median_ms,
        )
        for line, cell in zip(board.lines, cells, strict=True)
        if cell is not None and cell["mean"] is not None and line.parameters
    ]
    return tuple(sorted(marks, key=lambda mark: -(mark.median_ms or 0.0)))
