"""Tasks in several languages as tables: scores go in; a line for each model and setting, a column a
language, come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One setting; scores in hundredths, None where there is none."""

    setting: str
    average: float | None
    low: float | None
    high: float | None
    """The average's 95% interval."""
    cells: list[float | None]
    """A language each."""
    reason: str | None
    """Why there is no average."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossLingualTable:
    """One task in all its languages, under its first metric."""

    task: str
    metric: str
    languages: list[str]
    models: dict[str, list[Line]]


def cross_lingual_tables(evaluation: Rows) -> list[CrossLingualTable]:
    """A table for each task that was measured in several languages, models and languages in the
    order of the scores.
    """
    tasks = dict.fromkeys(row["base_task"] for row in evaluation if row.get("setting") is not None)
    return [_table([row for row in evaluation if row.get("base_task") == task]) for task in tasks]


def _table(rows: Rows) -> CrossLingualTable:
    metric = rows[0]["metric"]
    by_place = {
        (row["model"], row["setting"], row["language"]): row
        for row in rows
        if row["metric"] == metric
    }
    languages = list(dict.fromkeys(language for _, _, language in by_place if language is not None))
    models: dict[str, list[Line]] = {}
    for model, setting in dict.fromkeys(which[:2] for which in by_place):
        average = by_place[model, setting, None]
        line = Line(
            setting=setting,
            average=_hundredths(average["mean"]),
            low=_hundredths(average["low"]),
            high=_hundredths(average["high"]),
            cells=[
                _hundredths(by_place[model, setting, language]["mean"]) for language in languages
            ],
            reason=None if average["mean"] is not None else average["reason"],
        )
        models.setdefault(model, []).append(line)
    return CrossLingualTable(
        task=rows[0]["base_task"], metric=metric, languages=languages, models=models
    )


def _hundredths(value: float | None) -> float | None:
    return None if value is None else 100 * value
