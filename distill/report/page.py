"""report.html: one file that needs no network, with the run's figures in tables and plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from distill.recipe.model_reference import reference_in_words
from distill.report.canvas import to_svg
from distill.report.content import (
    INT8,
    is_at_chance,
    language_retention,
    latency_ratio,
    margin_of,
    reference_in_report,
)
from distill.report.cross_lingual import cross_lingual_tables
from distill.report.formats import (
    format_bytes,
    format_count,
    format_interval,
    format_metric,
    format_ms,
    format_score,
    format_share,
    format_shares,
)
from distill.report.grid import MEASURES, build_grid, describe, distinct_files, runtime_of
from distill.report.measured import (
    AT_CHANCE,
    chance_in_words,
    fine_tuned_tasks,
    model_facts,
    overlap_in_words,
    rate_in_words,
    rows_in_words,
    task_facts,
    verdict_of,
)
from distill.report.panels import letter_keys, list_panels, list_unshown
from distill.report.published import list_protocols
from distill.report.scoreboard import Row, Scoreboard, build_scoreboard
from distill.report.trade_off import trade_off_figures
from distill.runtime.progress import format_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_page(content: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """The report as HTML; everything that comes from a recipe or a corpus is escaped."""
    environment = Environment(
        loader=PackageLoader("distill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=format_count,
        size=format_bytes,
        ms=format_ms,
        score=format_score,
        share=format_share,
        metric=format_metric,
        duration=format_seconds,
        runtime=runtime_of,
        machine=describe,
        values=cell_values,
        rows=rows_in_words,
        chance=chance_in_words,
        overlap=overlap_in_words,
        rate=rate_in_words,
        breakable=breakable,
    )
    margin = margin_of(content)
    environment.filters["texts"] = lambda cell: cell_texts(cell, margin)
    board = build_scoreboard(content)
    panels = {panel.name: panel for panel in list_panels(board)}
    return environment.get_template("report.html.j2").render(
        report=content,
        by_language=language_retention(content),
        board=board,
        panels=[
            (panels[name], Markup(to_svg(figure, name)))
            for name, figure in trade_off_figures(board).items()
        ],
        unshown=list_unshown(board),
        letters=letter_keys(board),
        published=list_protocols(content["published"]),
        kept=kept_of_reference(board),
        reference=reference_in_words(reference_in_report(content)),
        plots={
            name: Markup(to_svg(figure, name))
            for name, figure in figures.items()
            if name != "trade-off"
        },
        cross_lingual=cross_lingual_tables(content["evaluation"] or []),
        grid=build_grid(content["benchmark"] or []),
        measures=MEASURES,
        files=distinct_files(content["benchmark"] or []),
        ratio=latency_ratio(content),
        int8_ratio=latency_ratio(content, form=INT8),
        task_facts=task_facts(content),
        model_facts=model_facts(content),
        fine_tuned=fine_tuned_tasks(content),
        settings=list_settings(content["recipe"]),
    )


def kept_of_reference(board: Scoreboard) -> Row | None:
    """The share that the student keeps of the reference's mean, or of its first score where it
    lacks others.
    """
    for line in board.lines:
        named = [(f"mean score on {board.tasks} tasks", line.mean)] if board.tasks > 1 else []
        for column, cell in zip(board.columns, line.cells, strict=True):
            named.append((f"{format_metric(column.metric)} on {column.task}", cell))
        for name, cell in named if line.model == "student" else ():
            if cell is not None and cell["mean"] is not None and cell["retention"] is not None:
                low, high = cell.get("retention_low"), cell.get("retention_high")
                return {
                    "share": cell["retention"],
                    "of": name,
                    "interval": format_shares(low, high),
                    "verdict": verdict_of(cell, board.margin),
                }
    return None


def list_settings(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The recipe as it ran, defaults included: a text of YAML a section."""
    plain = {key: value for key, value in recipe.items() if not isinstance(value, dict)}
    sections = {
        "recipe": plain,
        **{key: value for key, value in recipe.items() if isinstance(value, dict) and value},
    }
    return {
        name: yaml.safe_dump(
            section, sort_keys=False, allow_unicode=True, default_flow_style=None, width=60
        ).rstrip()
        for name, section in sections.items()
    }


def cell_values(cell: Row) -> str:
    """What a cell of the scores is sorted by: score, difference and retention; nothing for what is
    not known.
    """
    return " ".join(
        "" if cell.get(key) is None else f"{cell[key]:.6g}"
        for key in ("mean", "difference", "retention")
    )


def cell_texts(cell: Row, margin: float | None = None) -> list[tuple[str, str, str]]:
    """What a cell of the scores shows: score, difference and retention, each with its interval
    where it has one, and what that says.
    """
    difference = format_interval(cell.get("difference_low"), cell.get("difference_high"), sign=True)
    retention = format_shares(cell.get("retention_low"), cell.get("retention_high"))
    at_chance = AT_CHANCE if is_at_chance(cell) else ""
    return [
        (format_score(cell["mean"]), format_interval(cell["low"], cell["high"]), at_chance),
        (
            format_score(cell.get("difference"), sign=True),
            difference,
            verdict_of(cell, margin),
        ),
        (format_share(cell["retention"]), retention, ""),
    ]


def breakable(name: str) -> Markup:
    """The name, escaped, with places where a narrow column may break it."""
    return Markup("/<wbr>").join(escape(part) for part in name.split("/"))
