"""The model card: a report goes in; the text of README.md, with the metadata that the Hub reads, comes out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.export.licences import strictest_licence

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_KNOWN_ORIGINS = {"package:multilingual-e5-small": "intfloat/multilingual-e5-small"}
_TASK_TYPES = {
    "classification": "text-classification",
    "pair_classification": "text-classification",
    "similarity": "sentence-similarity",
    "tokens": "token-classification",
    "retrieval": "retrieval",
    "masked": "fill-mask",
}
"""The Hub's names for the kinds of tasks."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|!&~$])")
_LIST_MARK = re.compile(r"^(\d*)([-+=.])")


def render_card(report: Mapping[str, Any], licence: str | None) -> str:
    """The card of a report's student; values that come from a recipe or a corpus are escaped."""
    environment = Environment(
        loader=PackageLoader("distill.export"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(escaped=escape_markdown, code=code_span, literal=python_literal)
    metadata = card_metadata(report, licence).to_yaml()
    origin = teacher_origin(report["recipe"]["teacher"]["model"])
    ingredients = _licences(report)
    text = environment.get_template("card.md.j2").render(
        report=report,
        licence=licence,
        origin=origin,
        on_hub=_HUB_ID.fullmatch(origin) is not None,
        strictest=strictest_licence(one for _, one in ingredients),
        licences=ingredients,
    )
    return f"---\n{metadata}\n---\n\n{text}"


def card_metadata(report: Mapping[str, Any], licence: str | None) -> ModelCardData:
    """What the Hub reads: language, licence, base model, tags and measured scores."""
    recipe, origin = report["recipe"], teacher_origin(report["recipe"]["teacher"]["model"])
    task_types = {task["name"]: _TASK_TYPES[task["kind"]] for task in recipe["evaluation"]["tasks"]}
    results = [
        EvalResult(
            task_type=task_types.get(score["task"], "text-classification"),
            dataset_type=score["task"],
            dataset_name=score["task"],
            metric_type=score["metric"],
            metric_value=round(score["mean"], 4),
        )
        for score in report["evaluation"] or []
        if score["model"] == "student" and score["mean"] is not None
    ]
    datasets = [source["hub"] for source in recipe["corpus"]["sources"] if source.get("hub")]
    return ModelCardData(
        language=recipe["language"],
        license=licence or "other",
        library_name="transformers",
        pipeline_tag="feature-extraction",
        base_model=origin if _HUB_ID.fullmatch(origin) else None,
        datasets=datasets or None,
        tags=["distillation", "vocabulary-trimming", "feature-extraction"],
        model_name=recipe["name"] if results else None,
        eval_results=results or None,
    )


def card_licence(report: Mapping[str, Any], given: str | None) -> str | None:
    """The licence given, else the strictest of teacher and corpora, else None where one of them is not said."""
    return given or strictest_licence(licence for _, licence in _licences(report))


def teacher_origin(model: str) -> str:
    """The Hub id of a packaged teacher, the name of a local folder without its path, or the Hub id as it is."""
    if model in _KNOWN_ORIGINS:
        return _KNOWN_ORIGINS[model]
    return model if _HUB_ID.fullmatch(model) else last_name(model)


def last_name(path: str) -> str:
    """The last part of a path."""
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def escape_markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _LIST_MARK.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", " ".join(str(text).split())))


def code_span(text: object) -> str:
    """Text as inline code, on one line, fenced by more backticks than it has in a row."""
    line = re.sub(r"[\r\n]+", " ", str(text))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    padding = " " if "`" in line or (line[:1] == line[-1:] == " ") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def python_literal(text: str) -> str:
    """A string as Python reads it, in double quotes: JSON's escapes are Python's too as long as letters stay themselves."""
    return json.dumps(text, ensure_ascii=False)


def _licences(report: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """What the student was made from, each with its licence."""
    sources = [(source["name"], source["licence"]) for source in report["corpus"]["sources"]]
    return list(dict.fromkeys([("the teacher", report["recipe"]["teacher"].get("licence")), *sources]))
