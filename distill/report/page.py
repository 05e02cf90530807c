"""report.html: one file that needs no network, with the run's figures in tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distill.progress import format_seconds
from distill.report.content import latency_ratio
from distill.report.plots import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_page(content: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """The report as HTML; everything that comes from a recipe or a corpus is escaped."""
    environment = Environment(
        loader=PackageLoader("distill.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(count=format_count, size=format_bytes, duration=format_seconds)
    return environment.get_template("report.html.j2").render(
        report=content,
        plots={name: Markup(to_svg(figure, name)) for name, figure in figures.items()},
        scores=group_rows(content["evaluation"] or [], "task", "metric"),
        latencies=group_rows(content["benchmark"] or [], "device", "threads", "batch_size", "length"),
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


def format_count(value: float | None) -> str:
    """A count as a person says it: 512, 28.4k, 21.9M."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= max(9999.5, 0.99995 * factor):  # what would be rounded to 1000.0k is 1.0M
            return f"{value / factor:.1f}{unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def format_bytes(value: float | None) -> str:
    """A size in decimal units: 88 MB."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.1f} {unit}" if value < 9.95 * factor else f"{value / factor:.0f} {unit}"
    return f"{value:.0f} B"
