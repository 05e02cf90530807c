"""The sections that say which text to read and which pieces to keep."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from distill.recipe.section import Count, GrownSection, Section, Share, filled_from_environment
from distill.recipe.source import Source


class CorpusSection(GrownSection):
    """The text of the language."""

    later: ClassVar[frozenset[str]] = frozenset({"without_tasks"})

    sources: list[Source] = Field(min_length=1)
    """Where the text comes from, one or more."""
    heldout: Share = 0.01
    """Share of the documents kept apart, for every figure that the run reports about text."""
    min_characters: Annotated[int, Field(ge=1)] = 16
    """A shorter document is dropped."""
    min_letters: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A line with a smaller share of letters among its characters is dropped."""
    language_filter: bool = False
    """Leave out documents that are in another language than the recipe's, by an offline
    identifier.
    """
    without_tasks: bool = False
    """Leave out documents that share 12 words in a row with a row of the evaluation's tasks."""


class KeepSection(Section):
    """Pieces that stay whatever the target."""

    locations: ClassVar[frozenset[str]] = frozenset({"terms"})

    pieces: list[str] = []
    """These pieces, as the tokenizer writes them."""
    pattern: str | None = None
    """The pieces that match this regular expression whole."""
    terms: str | None = None
    """A text file of domain terms, one a line, whose pieces stay."""

    # A blank can be part of a piece or of a pattern.
    model_config = ConfigDict(str_strip_whitespace=False)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(
                f"should be a regular expression; {value!r} is none ({error})"
            ) from error
        return value

    _filled = field_validator("terms")(filled_from_environment)


Keep = Annotated[
    KeepSection,
    BeforeValidator(
        lambda value: {"pieces": value} if isinstance(value, list) else value,
        json_schema_input_type=KeepSection | list[str],
    ),
]


class VocabularySection(Section):
    """Which pieces stay: one target, or none for `min_count: 3`."""

    locations: ClassVar[frozenset[str]] = frozenset({"lexicon"})

    min_count: Annotated[int, Field(ge=1)] | None = None
    """Keep the pieces seen at least this often in the training text."""
    coverage: Share | None = None
    """Keep the most frequent pieces that make up this share of all pieces of the training text."""
    size: Count | None = None
    """Keep this many pieces in all, special pieces and alphabet included."""
    identical: Share | None = None
    """Keep the fewest pieces that leave this share of held-out sentences segmented as before."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The run fails if a smaller share of held-out sentences keeps its segmentation."""
    alphabet: bool = True
    """Keep every character of the language's scripts that occurs in the text, and every ASCII
    character.
    """
    symbols: bool = True
    """Keep the teacher's emoji, punctuation, currency and mathematical signs, and for a language in
    Latin script the Latin letters of others, whether or not the text has them.
    """
    lexicon: str | None = None
    """A word list of the language, one word a line (plain or .gz), whose pieces stay."""
    keep: Keep = KeepSection()
    """What stays besides: pieces, a pattern, terms; or a list of pieces."""
    check: list[Source] = []
    """Texts of another kind that choose nothing: the curve, the report and the card tell how they
    fare.
    """
    proof_seconds: Annotated[float, Field(gt=0)] = 60.0
    """What the proof takes at most: held-out sentences are segmented as before and after, and
    hidden states are compared with the teacher's on as many as fit into the seconds that are left.
    """

    _filled = field_validator("lexicon")(filled_from_environment)

    @property
    def word_lists(self) -> list[Source]:
        """The files that the section names."""
        return [Source(path=path, format="txt") for path in (self.lexicon, self.keep.terms) if path]

    @model_validator(mode="after")
    def _one_target(self) -> VocabularySection:
        given = [
            name
            for name in ("min_count", "coverage", "size", "identical")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"cannot aim at both {' and '.join(given)}; choose one")
        if self.identical is not None and self.identical < self.floor:
            raise ValueError(
                f"identical {self.identical} lies below floor {self.floor}; the run would always "
                "fail"
            )
        return self
