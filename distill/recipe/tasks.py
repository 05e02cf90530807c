"""What a model is measured by: any kind of task, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, PlainValidator, SerializeAsAny, Tag
from pydantic.json_schema import SkipJsonSchema

from distill.recipe.fine_tuned_tasks import (
    ClassificationTask,
    FineTunedTask,
    MultilabelTask,
    PairClassificationTask,
    SimilarityTask,
    TokensTask,
)
from distill.recipe.task_section import TaskSection
from distill.recipe.untuned_tasks import (
    HEADS,
    MaskedTask,
    OwnHeadTask,
    QuestionAnsweringTask,
    RerankingTask,
    RetrievalTask,
)

Task = (
    FineTunedTask | OwnHeadTask | RetrievalTask | RerankingTask | QuestionAnsweringTask | MaskedTask
)
"""Any task."""
TASK_KINDS = (
    "classification",
    "multilabel",
    "pair_classification",
    "similarity",
    "tokens",
    "retrieval",
    "reranking",
    "question_answering",
    "masked",
)
"""What `kind` may say."""


_REGISTERED: dict[str, type[TaskSection]] = {}
"""The sections of kinds that were registered from outside."""


def register_kind(name: str, section: type[TaskSection]) -> None:
    """Let `kind: name` say that a task's keys are those of `section`."""
    _REGISTERED[name] = section


def _kind_of(task: Any) -> Any:
    kind = task.get("kind") if isinstance(task, dict) else getattr(task, "kind", None)
    if not isinstance(kind, str):
        return None
    head = task.get("head") if isinstance(task, dict) else getattr(task, "head", None)
    if head is not None and kind in HEADS:
        return "own head"
    return "registered" if kind in _REGISTERED else kind


def _registered(task: Any) -> TaskSection:
    if isinstance(task, TaskSection):
        return task
    return _REGISTERED[task["kind"]].model_validate(task)


TaskByKind = Annotated[
    Annotated[ClassificationTask, Tag("classification")]
    | Annotated[MultilabelTask, Tag("multilabel")]
    | Annotated[PairClassificationTask, Tag("pair_classification")]
    | Annotated[SimilarityTask, Tag("similarity")]
    | Annotated[TokensTask, Tag("tokens")]
    | Annotated[OwnHeadTask, Tag("own head")]
    | Annotated[RetrievalTask, Tag("retrieval")]
    | Annotated[RerankingTask, Tag("reranking")]
    | Annotated[QuestionAnsweringTask, Tag("question_answering")]
    | Annotated[MaskedTask, Tag("masked")]
    | SkipJsonSchema[
        Annotated[SerializeAsAny[TaskSection], PlainValidator(_registered), Tag("registered")]
    ],
    Discriminator(_kind_of),
]
"""A task as a recipe reads it: its `kind` alone says which section it is."""
