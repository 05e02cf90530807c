"""The section that names the teacher."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
)

from distill.recipe.section import Section

Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
"""What sentence-transformers calls the ways; of a weighted mean a token weighs its place."""


class Prefixes(Section):
    """What a sentence-embedding model wants in front of its texts."""

    query: str = ""
    """In front of a question."""
    passage: str = ""
    """In front of a text to be found."""

    # The trailing space of "query: " is part of the prefix.
    model_config = ConfigDict(str_strip_whitespace=False)

    @property
    def distinct(self) -> list[str]:
        """Query and passage prefix; a single entry where they are equal."""
        return list(dict.fromkeys([self.query, self.passage]))


class TeacherSection(Section):
    """The multilingual encoder to extract from."""

    model: str = Field(min_length=1)
    """A Hub id, a local folder, package:multilingual-e5-small or package:all-MiniLM-L6-v2."""
    revision: str = "main"
    """The Hub model's branch, tag or commit."""
    pooling: Pooling = "mean"
    """How token states become one sentence vector; where it is left out, as the model's own files
    say.
    """
    prefixes: Prefixes = Prefixes()
    """What the model wants in front of queries and passages; where it is left out, as the model's
    own files say.
    """
    dimensions: list[Annotated[int, Field(ge=1)]] = []
    """To how many of their first numbers sentence vectors may be cut (Matryoshka), such as [64,
    128, 256]; where it is left out, as the model's own files say.
    """
    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The teacher's licence as the Hub spells it; it travels to the model card."""
