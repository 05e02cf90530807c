"""Where text and labelled rows come from."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    ByteSize,
    Field,
    WithJsonSchema,
    model_validator,
)

from distill.recipe.formats import FORMATS, check_format
from distill.recipe.section import ENVIRONMENT_NAME, GrownSection
from distill.runtime.secrets import without_password

LANGUAGE = "{language}"
"""What each of a cross-lingual task's languages takes the place of, in whatever says where its rows
are.
"""
_PLACES = ("hub", "config", "split", "path", "files")


Format = Annotated[
    str,
    AfterValidator(check_format),
    WithJsonSchema({"enum": [*FORMATS], "type": "string"}),
]
"""The name of a file format."""


class Source(GrownSection):
    """Where text or labelled rows come from: exactly one of `hub`, `path` or `package`."""

    locations: ClassVar[frozenset[str]] = frozenset({"path"})
    later: ClassVar[frozenset[str]] = frozenset({"language", "text_pair"})

    hub: str | None = None
    """A dataset on the Hub (organisation/name), streamed."""
    config: str | None = None
    """The Hub dataset's configuration, such as swe_Latn."""
    split: str = "train"
    """The Hub dataset's split, or the named task's."""
    revision: str | None = None
    """The Hub dataset's branch, tag or commit."""
    path: str | None = None
    """Files: txt, jsonl, csv, tsv, parquet, conllu or srt, plain or .gz; globs, ${NAME} and any
    fsspec address work.
    """
    package: str | None = None
    """An installed Python distribution; `files` says which of its files."""
    files: str | None = None
    """Glob over the package's files, such as journal_digital/corpus/**/*.srt."""
    format: Format | None = None
    """The files' format, where their names don't tell."""
    task: str | None = None
    """A task of the recipe, whose labelled rows are read as text (corpus.sources alone)."""
    language: str | None = None
    """Which of a recipe's several languages the text is in (corpus.sources alone)."""
    column: str = "text"
    """The column that holds the text (jsonl, csv, tsv, parquet, hub)."""
    text_pair: Annotated[str, Field(min_length=1)] | None = None
    """The column of a second text, where a teacher that reads pairs learns from both
    (corpus.sources alone).
    """
    max_bytes: Annotated[ByteSize, Field(gt=0)] | None = None
    """Stop after this much text, such as 2GB."""
    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The text's licence as the Hub spells it (cc-by-4.0); it travels to the model card."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How much each piece of this text counts when pieces are chosen, relative to other sources."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if self.task is not None:
            raise ValueError(
                f"task: {self.task} names a task of the recipe, which only a recipe's "
                "corpus.sources can"
            )
        given = [name for name in ("hub", "path", "package") if getattr(self, name)]
        if len(given) != 1:
            origins = "none of them" if not given else " and ".join(given)
            raise ValueError(f"a source is one of hub, path or package; found {origins}")
        if self.text_pair == self.column:
            raise ValueError(
                f"column and text_pair both name {self.column}; a pair has two columns"
            )
        if self.package and not self.files:
            raise ValueError("a package source needs `files`, a glob over the package's files")
        if self.files and not self.package:
            raise ValueError("`files` goes with `package`; for files of your own use `path`")
        for name in ENVIRONMENT_NAME.findall(self.path or ""):
            if not os.environ.get(name):
                raise ValueError(
                    f"path {self.path} names the environment variable {name}, which is not set"
                )
        return self

    @property
    def location(self) -> str:
        """The source in a few words, as the recipe says it."""
        if self.package:
            return f"package {self.package} ({self.files})"
        return f"hub {self.hub}" if self.hub else without_password(str(self.path))

    @property
    def label(self) -> str:
        """The source without the user's folders, fit to be published."""
        path = without_password(str(self.path)).replace("\\", "/")
        return self.hub or self.package or path.rsplit("/", 1)[-1]

    @property
    def filled_path(self) -> str:
        """`path` with its ${NAME}s filled from the environment."""
        return ENVIRONMENT_NAME.sub(lambda match: os.environ.get(match[1], ""), self.path or "")

    @property
    def names_language(self) -> bool:
        """Whether it stands for a source in each of several languages."""
        return any(LANGUAGE in (getattr(self, field) or "") for field in _PLACES)

    def in_language(self, language: str) -> Source:
        """The source in one language."""
        named = {
            field: value.replace(LANGUAGE, language)
            for field in _PLACES
            if (value := getattr(self, field))
        }
        return self.model_copy(update=named)
