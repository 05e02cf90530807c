"""Tasks that each model is fine-tuned on: one small section a kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from distill.recipe.cross_lingual import CrossLingualSection
from distill.recipe.section import Count, Share, each_once
from distill.recipe.source import LANGUAGE, Source
from distill.recipe.task_section import (
    Chosen,
    ColumnOrNone,
    Renamed,
    TaskSection,
    with_text_keys,
)

ClassMetric = Literal["macro_f1", "accuracy", "mcc", "alpha"]
"""What classes are measured by; alpha is Krippendorff's for nominal values."""


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
    labels: Annotated[dict[str, str], BeforeValidator(with_text_keys)] | None = None
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


FineTunedTask = (
    ClassificationTask | MultilabelTask | PairClassificationTask | SimilarityTask | TokensTask
)
"""Tasks that models are fine-tuned on."""
