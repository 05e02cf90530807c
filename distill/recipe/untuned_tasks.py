"""Tasks that each model is measured on as it is: one small section a kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from distill.recipe.fine_tuned_tasks import (
    ClassificationTask,
    FineTunedTask,
    MultilabelTask,
    PairClassificationTask,
    SimilarityTask,
    TokensTask,
)
from distill.recipe.section import Count, Share, each_once
from distill.recipe.source import Source
from distill.recipe.task_section import Renamed, TaskSection

HEADS: dict[str, type[FineTunedTask]] = {
    "classification": ClassificationTask,
    "multilabel": MultilabelTask,
    "similarity": SimilarityTask,
    "pair_classification": PairClassificationTask,
    "tokens": TokensTask,
}
"""By the kind of a head's task, the section of the same rows that models are fine-tuned on."""


OwnHeadMetric = Literal[
    "accuracy", "macro_f1", "micro_f1", "entity_f1", "pearson", "spearman", "agreement"
]
_CLASSES: list[OwnHeadMetric] = ["accuracy", "macro_f1", "agreement"]
_METRICS: dict[str, list[OwnHeadMetric]] = {
    "classification": _CLASSES,
    "pair_classification": _CLASSES,
    "multilabel": ["macro_f1", "micro_f1", "agreement"],
    "similarity": ["pearson", "spearman"],
    "tokens": [*_CLASSES, "entity_f1"],
}
"""By kind, what can be measured."""


class OwnHeadTask(TaskSection):
    """Classes or numbers of texts or tags of words by each model's own head, as it was fine-tuned
    before; no fine-tuning.
    """

    kind: Literal["classification", "multilabel", "pair_classification", "similarity", "tokens"]
    """The kind of task."""
    head: Literal["own"]
    """Whose head: own is that which the model comes with."""
    train: Source | None = None
    """Rows that only corpus.sources reads, as text."""
    dev: Source | None = None
    """The same."""
    test: Source
    """Rows of the final figure."""
    text: str | None = None
    """The column of the texts; as without head."""
    text_pair: str | None = None
    """The column of the second texts; null where a number is of one text."""
    words: str | None = None
    """The column of the words."""
    label: str | None = None
    """The column of the classes."""
    labels: Renamed | None = None
    """What the head calls the rows' classes, where it is otherwise."""
    max_test: Count | None = None
    """At most so many test rows, drawn by the recipe's seed."""
    metrics: Annotated[list[OwnHeadMetric], AfterValidator(each_once)] = Field(
        default=["accuracy", "macro_f1", "agreement"], min_length=1
    )
    """What is measured; agreement is the share of predictions that are the teacher's. With kind:
    multilabel macro_f1, micro_f1 and agreement, with kind: similarity pearson and spearman; with
    kind: tokens also entity_f1.
    """

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        return [self.test]

    @property
    def as_fine_tuned(self) -> FineTunedTask:
        """The task of the same rows that models are fine-tuned on, by which they are read."""
        shared = ("text", "text_pair", "words", "label", "labels")
        given = {key: value for key in shared if (value := getattr(self, key)) is not None}
        rows = {"name": self.name, "kind": self.kind, "train": self.test, "test": self.test}
        task: FineTunedTask = HEADS[self.kind].model_validate({**rows, **given})
        return task

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_kind(cls, given: Any) -> Any:
        kind = given.get("kind") if isinstance(given, dict) else None
        if kind not in _METRICS:
            return given
        given = {"metrics": _METRICS[kind][:3], **given}
        if "text_pair" in given:  # null is kept as an empty name: a report leaves out what is null
            given["text_pair"] = given["text_pair"] or ""
        return given

    @model_validator(mode="after")
    def _columns_and_metrics_of_the_kind(self) -> OwnHeadTask:
        _ = self.as_fine_tuned
        possible = _METRICS[self.kind]
        if wrong := [metric for metric in self.metrics if metric not in possible]:
            raise ValueError(
                f"metrics: {wrong[0]} is not measured with kind: {self.kind}; it should be of "
                f"{', '.join(possible)}"
            )
        return self


class _SearchTask(TaskSection):
    """Each query has one passage among all."""

    source: Source
    """Where the rows come from."""
    query: str
    """The column of the queries."""
    passage: str
    """The column of the passages, each the answer to its row's query."""

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        return [self.source]


class RetrievalTask(_SearchTask):
    """Find the passage that answers each query among all passages, by the cosine of sentence
    vectors; no fine-tuning.
    """

    kind: Literal["retrieval"]
    """The kind of task."""
    metrics: Annotated[
        list[Literal["mrr@10", "recall@1", "ndcg@10"]], AfterValidator(each_once)
    ] = Field(default=["mrr@10", "recall@1"], min_length=1)
    """What is measured; retention and the report's plot use the first."""


class RerankingTask(_SearchTask):
    """Rank the passages that share most words with each query, by the score that a cross-encoder
    gives the pair; no fine-tuning.
    """

    kind: Literal["reranking"]
    """The kind of task."""
    candidates: Annotated[int, Field(ge=2)] = 100
    """How many passages of each query are ranked: those that share most words with it (TF-IDF). An
    answer that is not among them counts as missed.
    """
    max_test: Count | None = None
    """At most so many queries, drawn by the recipe's seed."""
    metrics: Annotated[
        list[Literal["mrr@10", "ndcg@10", "recall@1"]], AfterValidator(each_once)
    ] = Field(default=["mrr@10", "ndcg@10"], min_length=1)
    """What is measured; retention and the report's plot use the first."""


class QuestionAnsweringTask(TaskSection):
    """Find the words of a passage that answer a question, by each model's own head, as it was
    fine-tuned before.
    """

    kind: Literal["question_answering"]
    """The kind of task."""
    source: Source
    """Where the rows come from."""
    question: str = "question"
    """The column of the questions."""
    passage: str = "context"
    """The column of the passages."""
    answer: str = "answers"
    """The column of the right answers: a text, a list of texts, or SQuAD's {text: [...]}; a row
    without one is left out.
    """
    max_test: Count | None = None
    """At most so many questions, drawn by the recipe's seed."""
    metrics: Annotated[list[Literal["exact_match", "f1"]], AfterValidator(each_once)] = Field(
        default=["f1", "exact_match"], min_length=1
    )
    """What is measured: the share of answers that are right, and F1 of their words."""

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        return [self.source]


class MaskedTask(TaskSection):
    """Predict pieces that are masked, by the model's own language-model head; no fine-tuning."""

    kind: Literal["masked"]
    """The kind of task."""
    source: Source
    """Where the texts come from."""
    text: str = "text"
    """The column of the texts."""
    masking: Share = 0.15
    """Share of a text's pieces that are masked."""
    max_test: Count | None = 1000
    """At most so many texts, drawn by the recipe's seed."""
    metrics: list[Literal["accuracy"]] = Field(default=["accuracy"], min_length=1, max_length=1)
    """What is measured: the share of masked pieces that are predicted, of the model's own
    pieces.
    """

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        return [self.source]
