"""Scores as lines of a table: rows as report.json has them go in; a line for each task, metric and model comes out.

The terminal and the Markdown file of `benchmark --tasks` show the same lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from distill.report.formats import markdown_table

TITLES = ("task", "metric", "model", "score", "difference", "retention")


def score_lines(rows: Iterable[Mapping[str, Any]]) -> tuple[list[list[str]], list[str]]:
    """A line a score, in the order of tasks, metrics and models, and the notes why some have none, numbered from 1."""
    found = list(rows)
    places = {key: place for place, key in enumerate(dict.fromkeys((row["task"], row["metric"]) for row in found))}
    notes = list(dict.fromkeys(row["reason"] for row in found if row["mean"] is None))
    lines = []
    for row in sorted(found, key=lambda row: places[row["task"], row["metric"]]):
        if row["mean"] is None:
            figures = [f"– [{notes.index(row['reason']) + 1}]", "", ""]
        else:
            score = _with_interval(row["mean"], row["low"], row["high"], ".3f")
            difference = _with_interval(row["difference"], row["difference_low"], row["difference_high"], "+.3f")
            figures = [score, difference, "–" if row["retention"] is None else f"{row['retention']:.1%}"]
        lines.append([row["task"], row["metric"], row["model"], *figures])
    return lines, notes


def to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The lines as a Markdown table; below it what the figures are."""
    lines, notes = score_lines(rows)
    parts = [
        markdown_table(TITLES, lines, words=3),
        f"In brackets 95% intervals. Difference and retention are against {rows[0]['model']}, over the same seeds and rows.",
        *(f"[{number}] {note}." for number, note in enumerate(notes, 1)),
    ]
    return "\n\n".join(parts) + "\n"


def _with_interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    if value is None:
        return "–"
    return f"{value:{form}}" + ("" if low is None or high is None else f" ({low:{form}} to {high:{form}})")
