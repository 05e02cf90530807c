"""The kinds of tasks that a recipe can name: one file each, one line here."""

from __future__ import annotations

from typing import Any

from distill.evaluation.kinds.fine_tuned import CrossLingual, FineTuned
from distill.evaluation.kinds.kind import Kind, Subject, UnmeasuredError
from distill.evaluation.kinds.masked import Masked
from distill.evaluation.kinds.own_head import OwnHead
from distill.evaluation.kinds.question_answering import QuestionAnswering
from distill.evaluation.kinds.reranking import Reranking
from distill.evaluation.kinds.retrieval import Retrieval
from distill.evaluation.scores import Reference
from distill.recipe.task_section import TaskSection
from distill.recipe.tasks import register_kind
from distill.recipe.untuned_tasks import OwnHeadTask

__all__ = ["KINDS", "Kind", "Reference", "Subject", "UnmeasuredError", "kind_of", "register"]

KINDS: dict[str, Kind[Any, Any, Any]] = {
    "classification": FineTuned("text-classification"),
    "multilabel": FineTuned("text-classification"),
    "pair_classification": FineTuned("text-classification"),
    "similarity": FineTuned("sentence-similarity"),
    "tokens": FineTuned("token-classification"),
    "retrieval": Retrieval(),
    "reranking": Reranking(),
    "question_answering": QuestionAnswering(),
    "masked": Masked(),
}
"""By what `kind` says in a recipe."""


def register(name: str, section: type[TaskSection], kind: Kind[Any, Any, Any]) -> None:
    """Let recipes hold tasks of that kind, whose keys are those of `section`."""
    register_kind(name, section)
    KINDS[name] = kind


def kind_of(task: TaskSection) -> Kind[Any, Any, Any]:
    """The kind of a task."""
    kind = KINDS[task.kind_name]
    if isinstance(task, OwnHeadTask):
        return OwnHead(kind.hub_type)
    if getattr(task, "cross_lingual", None) is not None:
        return CrossLingual(kind.hub_type)
    return kind
