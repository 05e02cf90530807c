"""The model card: a report goes in; the text of README.md, with the metadata that the Hub reads, comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.export.licences import strictest_licence

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_KNOWN_ORIGINS = {"package:multilingual-e5-small": "intfloat/multilingual-e5-small"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|!])")


def render_card(report: Mapping[str, Any], licence: str | None) -> str:
    """The card of a report's student; values that come from a recipe or a corpus are escaped."""
    environment = Environment(
        loader=PackageLoader("distill.export"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["escaped"] = escape_markdown
    metadata = card_metadata(report, licence).to_yaml()
    text = environment.get_template("card.md.j2").render(
        report=report,
        licence=licence,
        origin=teacher_origin(report["recipe"]["teacher"]["model"]),
        licences=list(dict.fromkeys([("the teacher", report["recipe"]["teacher"].get("licence")), *_source_licences(report)])),
    )
    return f"---\n{metadata}\n---\n\n{text}"


def card_metadata(report: Mapping[str, Any], licence: str | None) -> ModelCardData:
    """What the Hub reads: language, licence, base model, tags and measured scores."""
    recipe, origin = report["recipe"], teacher_origin(report["recipe"]["teacher"]["model"])
    results = [
        EvalResult(
            task_type="retrieval" if score["metric"] in ("mrr@10", "recall@1") else "text-classification",
            dataset_type=score["task"],
            dataset_name=score["task"],
            metric_type=score["metric"],
            metric_value=round(score["mean"], 4),
        )
        for score in report["evaluation"] or []
        if score["model"] == "student"
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
    return given or strictest_licence(
        [report["recipe"]["teacher"].get("licence"), *(licence for _, licence in _source_licences(report))]
    )


def teacher_origin(model: str) -> str:
    """The Hub id of a packaged teacher, the name of a local folder without its path, or the Hub id as it is."""
    if model in _KNOWN_ORIGINS:
        return _KNOWN_ORIGINS[model]
    return model if _HUB_ID.fullmatch(model) else model.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def escape_markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def _source_licences(report: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    return [(source["name"], source["licence"]) for source in report["corpus"]["sources"]]
