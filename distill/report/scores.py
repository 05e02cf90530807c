"""Scores as lines of a table: rows as report.json has them go in; a line for each task, metric and
model comes out.

`benchmark --tasks` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TITLES = ("task", "metric", "model", "score", "difference", "retention")


def score_lines(rows: Iterable[Mapping[str, Any]]) -> tuple[list[list[str]], list[str]]:
    """A line a score, in the order of tasks, metrics and models, and the notes why some have none,
    numbered from 1.
    """
    scores = list(rows)
    places = {
        key: position
        for position, key in enumerate(
            dict.fromkeys((row["task"], row["metric"]) for row in scores)
        )
    }
    notes = list(dict.fromkeys(row["reason"] for row in scores if row["mean"] is None))
    lines = []
    for row in sorted(scores, key=lambda row: places[row["task"], row["metric"]]):
        if row["mean"] is None:
            figures = [f"– [{notes.index(row['reason']) + 1}]", "", ""]
        else:
            score = with_interval(row["mean"], row["low"], row["high"], ".3f")
            difference = with_interval(
                row["difference"], row["difference_low"], row["difference_high"], "+.3f"
            )
            figures = [
                score,
                difference,
                with_interval(
                    row["retention"], row.get("retention_low"), row.get("retention_high"), ".1%"
                ),
            ]
        lines.append([row["task"], row["metric"], row["model"], *figures])
    return lines, notes


def with_interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    """A figure in a form, with its 95% interval where there is one; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:{form}}" + (
        "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
    )
