"""The section that says on which sentences models are looked into, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from distill.recipe.model_reference import OWN_MODELS, check_model_name
from distill.recipe.section import Count, Section, filled_from_environment

INSPECTED_MODELS = tuple(
    name for name in OWN_MODELS if name not in ("student_int8", "scratch", "tfidf", "asymmetric")
)
"""The models of a run whose layers can be read."""


def _known(name: str) -> str:
    return check_model_name(name, INSPECTED_MODELS)


class InspectionSection(Section):
    """What each layer's sentence vectors are like, of teacher and student, on sentences that are
    translations of each other.
    """

    locations: ClassVar[frozenset[str]] = frozenset({"sentences"})

    sentences: str = Field(min_length=1)
    """A file with a row a sentence and language (jsonl, csv, tsv, parquet; .gz), or a folder with a
    file, or a folder with a file called test, for each language; rows with one id are translations.
    ${NAME} is filled from the environment."""
    id: str = "id"
    """The column of the ids."""
    text: str = "text"
    """The column of the sentences."""
    language: str = "language"
    """The column of the languages; a folder says them by its names."""
    languages: Annotated[list[str], Field(min_length=2)] | None = None
    """Which languages, in this order; all without it."""
    kept: str | None = None
    """What the sentences call the language that the students are made for; the recipe's code by
    default.
    """
    max_sentences: Annotated[Count, Field(ge=4)] | None = None
    """At most so many sentences, drawn by the recipe's seed, each in every language."""
    models: Annotated[list[Annotated[str, AfterValidator(_known)]], Field(min_length=1)] = [
        "teacher",
        "trimmed",
        "student",
    ]
    """Which models; the layers of each are compared with those of the first."""
    drawn_languages: Annotated[int, Field(ge=2)] = 15
    """Languages in the projection, as many families as there are."""
    drawn_sentences: Annotated[int, Field(ge=2, le=12)] = 8
    """Sentences in the projection."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where the device is faster with it."""

    @property
    def sentences_path(self) -> Path:
        """`sentences` with its ${NAME}s filled from the environment; a report keeps those as they
        are.
        """
        return Path(filled_from_environment(self.sentences) or "").expanduser()

    @field_validator("sentences")
    @classmethod
    def _can_be_filled(cls, path: str) -> str:
        filled_from_environment(path)
        return path

    @field_validator("languages", "models")
    @classmethod
    def _each_once(cls, names: list[str] | None) -> list[str] | None:
        if twice := sorted({name for name in names or () if (names or ()).count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice")
        return names
