"""What the sections of all kinds of tasks have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from distill.recipe.section import GrownSection, each_once
from distill.recipe.source import Source


def with_text_keys(value: object) -> object:
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
Renamed = Annotated[dict[str, str | None], BeforeValidator(with_text_keys)]


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

    @model_validator(mode="after")
    def _columns_are_the_tasks(self) -> TaskSection:
        given = (getattr(self, split, None) for split in ("source", "train", "dev", "test"))
        if any(isinstance(source, Source) and source.text_pair for source in given):
            raise ValueError(
                "text_pair in a source is for corpus.sources alone; a task says its columns beside "
                "its sources"
            )
        return self

    @property
    @abstractmethod
    def sources(self) -> list[Source]:
        """Where its rows come from."""

    @property
    def kind_name(self) -> str:
        """What `kind` says."""
        return str(self.__dict__["kind"])

    @property
    def reported(self) -> list[str]:
        """The names under which its scores stand in the report."""
        return [self.name]
