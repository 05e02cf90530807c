"""What a model is measured by: one small section a kind of task, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    SerializeAsAny,
    Tag,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from distill.recipe.cross_lingual import CrossLingualSection
from distill.recipe.section import Count, GrownSection, Share, each_once
from distill.recipe.source import LANGUAGE, Source

ClassMetric = Literal["macro_f1", "accuracy", "mcc", "alpha"]
"""What classes are measured by; alpha is Krippendorff's for nominal values."""


def _with_text_keys(value: object) -> object:
    """YAML reads 1 and true as no text; a label is one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


def _with_text_items(value: object) -> object:
    return (
        [str(item) if isinstance(item, int) else item for item in value]
        if isinstance(value, list)
        else value
    )


Chosen = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_with_text_items, json_schema_input_type=list[str | int]),
    AfterValidator(each_once),
]
Renamed = Annotated[dict[str, str | None], BeforeValidator(_with_text_keys)]


ColumnOrNone = Annotated[
    str,
    BeforeValidator(
        lambda value: "" if value is None else value, json_schema_input_type=str | None
    ),
]
"""A column, or null, which is kept as an empty name: a report leaves out what is null."""


class TaskSection(GrownSection):
    """What every task has."""

    later: ClassVar[frozenset[str]] = frozenset({"language"})

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The task's name in the report."""
    language: str | None = None
    """Which of a recipe's several languages it is in; the report then tells what the student keeps
    in each.
    """

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        raise NotImplementedError

    @property
    def kind_name(self) -> str:
        """What `kind` says."""
        return str(self.__dict__["kind"])

    @property
    def reported(self) -> list[str]:
        """The names under which its scores stand in the report."""
        return [self.name]


class _FineTunedTask(TaskSection):
    """A task that each model is fine-tuned on."""

    train: Source
    """Rows to learn from."""
    dev: Source | None = None
    """Rows by which learning rate and stopping are chosen; without them a part of the training
    rows.
    """
    test: Source
    """Rows of the final figure; they choose nothing."""
    dev_share: Share = 0.1
    """Which part of the training rows, drawn by the recipe's seed, stands in for dev."""
    max_train: Count | None = None
    """At most so many training rows, drawn by the recipe's seed."""
    max_dev: Count | None = None
    """At most so many dev rows."""
    max_test: Count | None = None
    """At most so many test rows."""
    cross_lingual: CrossLingualSection | None = None
    """The task in several languages: each takes the place of {language} in the sources, and has the
    numbers of rows above.
    """

    @model_validator(mode="after")
    def _languages_and_their_place(self) -> _FineTunedTask:
        sources = {"train": self.train, "dev": self.dev, "test": self.test}
        if self.cross_lingual is None:
            if named := [
                name for name, source in sources.items() if source and source.names_language
            ]:
                raise ValueError(
                    f"{named[0]} names {LANGUAGE}; say which languages there are in "
                    "cross_lingual.languages"
                )
            return self
        sources["cross_lingual.translated"] = self.cross_lingual.translated
        if lacking := [
            name for name, source in sources.items() if source and not source.names_language
        ]:
            raise ValueError(
                f"{lacking[0]} lacks {LANGUAGE}, whose place each of cross_lingual.languages takes"
            )
        return self

    @property
    def reported(self) -> list[str]:
        """The names under which its scores stand in the report."""
        return [self.name] if self.cross_lingual is None else self.cross_lingual.reported(self.name)

    @property
    def sources(self) -> list[Source]:
        """Where its rows come from."""
        if self.cross_lingual is None:
            return [self.train, *([self.dev] if self.dev else []), self.test]
        section = self.cross_lingual
        learnt = [
            source.in_language(name)
            for source in (self.train, self.dev)
            if source
            for name in section.learnt
        ]
        translated = (
            [section.translated.in_language(name) for name in section.foreign]
            if section.translated
            else []
        )
        return [*learnt, *(self.test.in_language(name) for name in section.languages), *translated]


class _ClassTask(_FineTunedTask):
    """A task whose rows have one class each; those whose label is null are left out."""

    label: str = "label"
    """The column of the classes."""
    labels: Chosen | Renamed | None = None
    """The classes that count, as a list, or with other names as a mapping; a row of any other is
    left out.
    """
    metrics: Annotated[list[ClassMetric], AfterValidator(each_once)] = Field(
        default=["macro_f1", "accuracy"], min_length=1
    )
    """What is measured; the first chooses on dev, and the report's plot uses it."""


class ClassificationTask(_ClassTask):
    """The class of a text."""

    kind: Literal["classification"]
    """The kind of task."""
    text: str = "text"
    """The column of the texts."""


class MultilabelTask(_FineTunedTask):
    """Which classes a text has: none, one or several; a row whose label is null is left out."""

    kind: Literal["multilabel"]
    """The kind of task."""
    text: str = "text"
    """The column of the texts."""
    label: str = "labels"
    """The column of the classes, a list a row; an empty one says that the text has none."""
    labels: Chosen | Renamed | None = None
    """The classes that count, as a list, or with other names as a mapping; any other is taken out
    of its row.
    """
    metrics: Annotated[list[Literal["macro_f1", "micro_f1"]], AfterValidator(each_once)] = Field(
        default=["macro_f1", "micro_f1"], min_length=1
    )
    """What is measured; the first chooses on dev. macro_f1 counts each class alike, micro_f1 each
    label.
    """


class PairClassificationTask(_ClassTask):
    """The class of two texts, which the model reads as one pair."""

    kind: Literal["pair_classification"]
    """The kind of task."""
    text: str = "text1"
    """The column of the first texts."""
    text_pair: str = "text2"
    """The column of the second texts."""


class SimilarityTask(_FineTunedTask):
    """How alike two texts are, as a number; or, without `text_pair`, any number of one text, such
    as an opinion's strength.
    """

    kind: Literal["similarity"]
    """The kind of task."""
    text: str = "text1"
    """The column of the first texts."""
    text_pair: ColumnOrNone = "text2"
    """The column of the second texts; null where a text stands alone."""
    label: str = "label"
    """The column of the numbers."""
    metrics: Annotated[list[Literal["pearson", "spearman", "alpha"]], AfterValidator(each_once)] = (
        Field(default=["pearson", "spearman"], min_length=1)
    )
    """What is measured; the first chooses on dev. alpha is Krippendorff's for intervals."""


class TokensTask(_FineTunedTask):
    """The class of each word: parts of speech, or entities in IOB2."""

    kind: Literal["tokens"]
    """The kind of task."""
    words: str = "tokens"
    """The column of the words, a list a row."""
    label: str = "tags"
    """The column of their classes, a list as long."""
    labels: Annotated[dict[str, str], BeforeValidator(_with_text_keys)] | None = None
    """Other names for classes, such as {B-MISC: O, I-MISC: O}; one that it does not name stays."""
    metrics: Annotated[
        list[Literal["accuracy", "macro_f1", "entity_f1"]], AfterValidator(each_once)
    ] = Field(default=["accuracy"], min_length=1)
    """What is measured; the first chooses on dev. entity_f1 counts whole entities, and wants
    IOB2.
    """

    @model_validator(mode="after")
    def _no_translated_words(self) -> TokensTask:
        if self.cross_lingual is not None and "translate_test" in self.cross_lingual.settings:
            raise ValueError(
                "translate_test wants one label a text: the words of a translation have classes of "
                "their own"
            )
        return self


class OwnHeadTask(TaskSection):
    """Classes of texts or tags of words by each model's own head, as it was fine-tuned before; no
    fine-tuning.
    """

    kind: Literal["classification", "pair_classification", "tokens"]
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
    """The column of the second texts."""
    words: str | None = None
    """The column of the words."""
    label: str | None = None
    """The column of the classes."""
    labels: Renamed | None = None
    """What the head calls the rows' classes, where it is otherwise."""
    max_test: Count | None = None
    """At most so many test rows, drawn by the recipe's seed."""
    metrics: Annotated[
        list[Literal["accuracy", "macro_f1", "agreement"]], AfterValidator(each_once)
    ] = Field(default=["accuracy", "macro_f1", "agreement"], min_length=1)
    """What is measured; agreement is the share of predictions that are the teacher's."""

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
        task: FineTunedTask = _FINE_TUNED[self.kind].model_validate({**rows, **given})
        return task

    @model_validator(mode="after")
    def _columns_of_the_kind(self) -> OwnHeadTask:
        _ = self.as_fine_tuned
        return self


class RetrievalTask(TaskSection):
    """Find the passage that answers each query among all passages, by the cosine of sentence
    vectors; no fine-tuning.
    """

    kind: Literal["retrieval"]
    """The kind of task."""
    source: Source
    """Where the rows come from."""
    query: str
    """The column of the queries."""
    passage: str
    """The column of the passages, each the answer to its row's query."""
    metrics: list[Literal["mrr@10", "recall@1"]] = Field(
        default=["mrr@10", "recall@1"], min_length=1
    )
    """What is measured; retention and the report's plot use the first."""

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


FineTunedTask = (
    ClassificationTask | MultilabelTask | PairClassificationTask | SimilarityTask | TokensTask
)
"""Tasks that models are fine-tuned on."""
_FINE_TUNED: dict[str, type[ClassificationTask | PairClassificationTask | TokensTask]] = {
    "classification": ClassificationTask,
    "pair_classification": PairClassificationTask,
    "tokens": TokensTask,
}
Task = FineTunedTask | OwnHeadTask | RetrievalTask | MaskedTask
"""Any task."""
TASK_KINDS = (
    "classification",
    "multilabel",
    "pair_classification",
    "similarity",
    "tokens",
    "retrieval",
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
    if head is not None and kind in _FINE_TUNED:
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
    | Annotated[MaskedTask, Tag("masked")]
    | SkipJsonSchema[
        Annotated[SerializeAsAny[TaskSection], PlainValidator(_registered), Tag("registered")]
    ],
    Discriminator(_kind_of),
]
"""A task as a recipe reads it: its `kind` alone says which section it is."""
