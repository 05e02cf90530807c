"""Published scores: the Hub ids of a report's models go in; what leaderboards say of them comes
out.

They stand in published.json, copied there by benchmarks/published.py, and are never mixed with what
is measured: tasks, rows and fine-tuning are those of the leaderboard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from distill.report.formats import format_metric

TITLE = "published, other protocol"
"""What their column is called, wherever it stands."""
_FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """A leaderboard."""

    name: str
    tasks: tuple[str, ...]
    """Which of its tasks are shown, with their metrics."""
    description: str
    """How its scores come about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedScore:
    """What a leaderboard says of a model on a task."""

    model: str
    """Its name in the report."""
    task: str
    metric: str
    mean: float
    low: float | None = None
    high: float | None = None
    protocol: str
    """The leaderboard."""
    source: str
    hub_id: str


def published_scores(hub_ids: Mapping[str, str]) -> list[PublishedScore]:
    """The scores known of each model of a report, given its Hub id by its name there; ids match in
    whatever case.
    """
    return [
        PublishedScore(**{**score, "model": name, "hub_id": score["model"]})
        for name, hub_id in hub_ids.items()
        for score in _content()["scores"]
        if score["model"].lower() == hub_id.lower()
    ]


def list_protocols(scores: Iterable[Mapping[str, Any]]) -> list[Protocol]:
    """The leaderboards that the scores come from."""
    tasks: dict[str, dict[str, None]] = {}
    for score in scores:
        tasks.setdefault(score["protocol"], {})[
            f"{score['task']} in {format_metric(score['metric'])}"
        ] = None
    described = _content()["protocols"]
    return [
        Protocol(name=name, tasks=tuple(entries), description=described[name])
        for name, entries in tasks.items()
    ]


@cache
def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content
