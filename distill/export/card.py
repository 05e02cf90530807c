"""The model card: a report goes in; the text of README.md, with the metadata that the Hub reads,
comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.export import prose
from distill.export.licences import OTHER, licence_metadata, strictest_licence, unsettled
from distill.export.markdown import code_span, escape_markdown, python_literal, shell_word
from distill.export.metadata import Contents, base_models, card_metadata, teacher_origin
from distill.recipe.model_reference import reference_in_words
from distill.report.content import (
    INT8,
    is_at_chance,
    language_retention,
    latency_ratio,
    reference_in_report,
    summary_scores,
)
from distill.report.formats import format_bytes, format_count
from distill.report.grid import describe, runtime_of
from distill.report.measured import (
    at_edge,
    chance_in_words,
    overlap_in_words,
    rows_in_words,
    task_facts,
    tasks_seen,
    verdict_of,
)
from distill.runtime.progress import format_seconds
from distill.runtime.version import __version__


def render_card(
    report: Mapping[str, Any], licence: str | None, contents: Contents, name: str | None = None
) -> str:
    """The card of a report's student; values that come from a recipe or a corpus are escaped.

    `name` is what code loads it by: its id on the Hub, where that is known.
    """
    recipe, rows = report["recipe"], report["benchmark"] or []
    reference = reference_in_report(report)
    scores = summary_scores(report)
    lines = prose.score_lines(scores)
    measured = dict.fromkeys(score["model"] for score in scores if score["mean"] is not None)
    text = (
        _environment()
        .get_template("card.md.j2")
        .render(
            **_licence_context(report, licence),
            contents=contents,
            name=name or recipe["export"].get("push") or recipe["name"],
            language=prose.language_name(recipe["language"]),
            origin=teacher_origin(recipe["teacher"]["model"]),
            begun_as=teacher_origin(recipe["student"]["model"])
            if recipe["student"].get("model")
            else None,
            on_hub=base_models(report),
            likeness=prose.likeness(report),
            lines=lines,
            meanings=prose.MEANINGS,
            others=[
                model for model in measured if model not in (reference, "student", "student_int8")
            ],
            reference_model=reference,
            reference=reference_in_words(reference),
            int8_measured="student_int8" in measured,
            by_language=language_retention(report),
            unmeasured=prose.unmeasured(scores),
            least=prose.furthest_below(lines),
            good_as=[escape_markdown(task) for task in prose.equivalent(lines)],
            margin=recipe["evaluation"].get("margin"),
            task_facts=task_facts(report),
            edges=at_edge(report),
            seen=tasks_seen(report),
            speed=prose.speed_grid(rows),
            sizes={(row["model"], runtime_of(row)): row["bytes_on_disk"] for row in rows},
            ratio=latency_ratio(report, of="teacher"),
            int8_ratio=latency_ratio(report, of="teacher", form=INT8),
            slower=prose.slower_in_int8(rows),
            references=prose.references(report),
            version=__version__,
        )
    )
    return f"---\n{card_metadata(report, licence, contents).to_yaml()}\n---\n\n{text}"


def render_licence(report: Mapping[str, Any], licence: str | None) -> str | None:
    """The text of LICENSE.md, which the metadata names where the licence is none of the Hub's list;
    None where it is.
    """
    if licence_metadata(licence)["license"] != OTHER:
        return None
    body = _environment().get_template("licence.md.j2").render(**_licence_context(report, licence))
    return f"# Licence of {escape_markdown(report['recipe']['name'])}\n\n{body}"


def card_licence(report: Mapping[str, Any], given: str | None) -> str | None:
    """The licence given, else the strictest of teacher and corpora, else None where one of them is
    not said.
    """
    return given or strictest_licence(licence for _, licence in prose.ingredients(report))


def _licence_context(report: Mapping[str, Any], licence: str | None) -> dict[str, object]:
    ingredients = prose.ingredients(report)
    return {
        "report": report,
        "licence": licence,
        "settled": licence_metadata(licence)["license"] != OTHER,
        "strictest": strictest_licence(name for _, name in ingredients),
        "why": unsettled(ingredients),
        "ingredients": ingredients,
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("distill.export"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        escaped=escape_markdown,
        code=code_span,
        literal=python_literal,
        shell=shell_word,
        short=format_count,
        size=format_bytes,
        duration=format_seconds,
        machine=describe,
        chance_level=is_at_chance,
        rows=rows_in_words,
        chance=chance_in_words,
        overlap=overlap_in_words,
        language_name=prose.language_name,
    )
    environment.globals.update(
        share=_share, figure=_figure, interval=_interval, difference=_difference, verdict=verdict_of
    )
    return environment


def _share(value: float) -> str:
    """A share in per cent, to as many decimals as tell it from all and from nothing."""
    decimals = next((d for d in (1, 2, 3, 4) if round(100 * value, d) not in (0, 100)), 4)
    return f"{100 * value:.0f}%" if value in (0, 1) else f"{100 * value:.{decimals}f}%"


def _figure(score: Mapping[str, Any] | None) -> str:
    """A score to three decimals, with its interval where there is one."""
    if score is None:
        return "–"
    return f"{score['mean']:.3f}" + (
        f" ({_interval(score['low'], score['high'])})" if score["low"] is not None else ""
    )


def _difference(score: Mapping[str, Any] | None) -> str:
    """How far a score is from the reference's, with the interval where there is one."""
    if score is None or score.get("difference") is None:
        return "–"
    text = f"{score['difference']:+.3f}".replace("-", "−")
    low = score.get("difference_low")
    return text if low is None else f"{text} ({_interval(low, score['difference_high'])})"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}".replace("-", "−")
