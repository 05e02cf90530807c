"""report.html: one file that needs no network, with the run's figures in tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distill.progress import format_seconds
from distill.report.content import latency_ratio
from distill.report.formats import format_bytes, format_count, format_ms
from distill.report.grid import MEASURES, build_grid, describe, distinct_files, runtime_of
from distill.report.plots import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_page(content: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """The report as HTML; everything that comes from a recipe or a corpus is escaped."""
    environment = Environment(
        loader=PackageLoader("distill.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=format_count, size=format_bytes, ms=format_ms, duration=format_seconds, runtime=runtime_of, machine=describe
    )
    return environment.get_template("report.html.j2").render(
        report=content,
        plots={name: Markup(to_svg(figure, name)) for name, figure in figures.items()},
        scores=group_rows(content["evaluation"] or [], "task", "metric"),
        grid=build_grid(content["benchmark"] or []),
        measures=MEASURES,
        files=distinct_files(content["benchmark"] or []),
        ratio=latency_ratio(content),
        lead=first_score(content),
    )


def first_score(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The student's score on the first metric of the first task that it was measured on."""
    scores = (score for score in content["evaluation"] or [] if score["model"] == "student" and score["mean"] is not None)
    return next(scores, None)


def group_rows(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[list[Mapping[str, Any]]]:
    """The rows that agree in all `keys` together, groups and rows in the order in which they first come."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(groups.values())
