"""What the Hub reads of a model card: a report goes in; language, licence, base model, tags and
scores come out.

The keys are those of the Hub's model-card specification.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from distill.evaluation.kinds import KINDS
from distill.export.asymmetric import FOLDER as ASYMMETRIC
from distill.export.licences import licence_metadata
from distill.export.markdown import one_line
from distill.models.sentence import MODULES
from distill.models.task_heads import TaskHead
from distill.onnx.layout import FLOAT32, INT8
from distill.openvino.layout import FLOAT32 as OPENVINO

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_KNOWN_ORIGINS = {"package:multilingual-e5-small": "intfloat/multilingual-e5-small"}
_METRIC_TYPES = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "entity_f1": "seqeval",
    "mcc": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "mrr@10": "mrr_at_10",
    "ndcg@10": "ndcg_at_10",
    "recall@1": "recall_at_1",
}
"""The names of the Hub's metrics, and those that MTEB's cards use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a card says of the folder that it lies in."""

    files: frozenset[str] = frozenset()
    """By their paths in the folder."""
    head: bool = False
    """Whether the student predicts masked pieces."""
    task: TaskHead | None = None
    """What a fine-tuned teacher's head, which it has, answers."""
    example: str = ""
    """A text in its language, for the Hub's widget and the code on the card."""
    positions: int | None = None
    """How many tokens it reads at most."""
    pooling: str = "mean"
    """How its vectors are made of hidden states."""
    after: tuple[tuple[str, str | None], ...] = ()
    """What becomes of them: for each layer its folder, and of a Dense one its activation."""
    width: int | None = None
    """To how many numbers they are cut, if they are."""

    @property
    def onnx(self) -> bool:
        """Whether there is an ONNX file in float32."""
        return FLOAT32 in self.files

    @property
    def is_elaborate(self) -> bool:
        """Whether the ONNX file gives sentence vectors itself."""
        dense = any(activation for _, activation in self.after)
        return self.pooling not in ("mean", "cls") or dense

    @property
    def int8(self) -> bool:
        """Whether there is one with 8-bit weights."""
        return INT8 in self.files

    @property
    def openvino(self) -> bool:
        """Whether there are files for OpenVINO."""
        return OPENVINO in self.files

    @property
    def sentences(self) -> bool:
        """Whether sentence-transformers loads it."""
        return MODULES in self.files

    @property
    def asymmetric(self) -> bool:
        """Whether there is a folder with the student for queries and its trimmed teacher for
        documents.
        """
        return f"{ASYMMETRIC}/{MODULES}" in self.files


def card_metadata(
    report: Mapping[str, Any], licence: str | None, contents: Contents
) -> ModelCardData:
    """The metadata of a report's student."""
    recipe, base = report["recipe"], base_models(report)
    results = eval_results(report, contents)
    datasets = dict.fromkeys(
        source["hub"] for source in recipe["corpus"]["sources"] if _is_hub_id(source.get("hub"))
    )
    metadata = {
        "onnx": contents.onnx,
        "openvino": contents.openvino,
        "sentence-transformers": contents.sentences,
    }
    data = ModelCardData(
        language=recipe["language"],
        library_name="sentence-transformers" if contents.sentences else "transformers",
        pipeline_tag=pipeline_tag(contents),
        base_model=base[0] if len(base) == 1 else base or None,
        datasets=list(datasets) or None,
        tags=[
            "distilled",
            "vocabulary-trimming",
            *([] if contents.task else ["feature-extraction"]),
            *(tag for tag, there in metadata.items() if there),
        ],
        model_name=one_line(recipe["name"]) if results else None,
        eval_results=results or None,
    )
    for key, value in licence_metadata(licence).items():
        data[key] = value
    if contents.task and contents.example:
        data["widget"] = [{"text": contents.example}]
    if (
        base
    ):  # or the Hub would take a repository with ONNX files for a quantised copy of its base model
        data["base_model_relation"] = "finetune"
    return data


def pipeline_tag(contents: Contents) -> str:
    """What the Hub files the student under."""
    if contents.task:
        return contents.task.pipeline_tag
    if contents.sentences:
        return "sentence-similarity"
    return "fill-mask" if contents.head else "feature-extraction"


def eval_results(report: Mapping[str, Any], contents: Contents) -> list[EvalResult]:
    """Every measured score of the student, and of its int8 file where the folder holds it."""
    tasks = {task["name"]: task for task in report["recipe"]["evaluation"]["tasks"]}
    measured = {"student": "", **({"student_int8": f" of {INT8}"} if contents.int8 else {})}
    results = [
        _eval_result(
            score, tasks.get(score.get("base_task") or score["task"], {}), measured[score["model"]]
        )
        for score in report["evaluation"] or []
        if score["model"] in measured and score["mean"] is not None and math.isfinite(score["mean"])
    ]
    # What has the same task and dataset becomes one entry, under the name of the first.
    names: dict[tuple[Any, ...], set[str]] = {}
    for result in results:
        names.setdefault(result.unique_identifier, set()).add(result.dataset_name)
    return [
        replace(result, dataset_type=result.dataset_name)
        if len(names[result.unique_identifier]) > 1
        else result
        for result in results
    ]


def base_models(report: Mapping[str, Any]) -> list[str]:
    """The Hub ids of the teacher and of a model that the student began as; models elsewhere have
    none.
    """
    recipe = report["recipe"]
    named = [recipe["teacher"]["model"], recipe["student"].get("model") or ""]
    return list(
        dict.fromkeys(teacher_origin(model) for model in named if _is_hub_id(teacher_origin(model)))
    )


def teacher_origin(model: str) -> str:
    """The Hub id of a packaged teacher, the name of a local folder without its path, or the Hub id
    as it is.

    A folder that is there wins over a Hub id of the same words, as it does in transformers.
    """
    if model in _KNOWN_ORIGINS:
        return _KNOWN_ORIGINS[model]
    return model if _is_hub_id(model) and not Path(model).is_dir() else last_name(model)


def last_name(path: str) -> str:
    """The last part of a path."""
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _eval_result(score: Mapping[str, Any], task: Mapping[str, Any], of: str) -> EvalResult:
    rows = task.get("test") or task.get("source") or {}
    language = score.get("language")
    on_hub = _is_hub_id(rows.get("hub"))
    return EvalResult(
        task_type=_task_type(task),
        dataset_type=rows["hub"] if on_hub else one_line(score["task"]),
        dataset_name=one_line(score["task"]),
        dataset_config=language or (rows.get("config") if on_hub else None),
        dataset_split=rows.get("split") if on_hub else None,
        dataset_revision=rows.get("revision") if on_hub else None,
        metric_type=_METRIC_TYPES.get(score["metric"], score["metric"]),
        metric_name=f"{score['metric']}{of}",
        metric_value=round(score["mean"], 4),
    )


def _is_hub_id(name: str | None) -> bool:
    return name is not None and _HUB_ID.fullmatch(name) is not None


def _task_type(task: Mapping[str, Any]) -> str:
    """The Hub's name for the kind of a task."""
    kind = KINDS.get(task.get("kind", ""))
    return "text-classification" if kind is None else kind.hub_type
