"""The sections that say what is measured: tasks, sizes, speed."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    model_validator,
)

from distill.recipe.section import Section
from distill.recipe.source import Source


class RetrievalTask(Section):
    """Find the passage that answers each query among all passages, by the cosine of sentence vectors; no fine-tuning."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The task's name in the report."""
    kind: Literal["retrieval"]
    """The kind of task."""
    source: Source
    """Where the rows come from."""
    query: str
    """The column of the queries."""
    passage: str
    """The column of the passages, each the answer to its row's query."""
    metrics: list[Literal["mrr@10", "recall@1"]] = Field(default=["mrr@10", "recall@1"], min_length=1)
    """What is measured; retention and the report's plot use the first."""


ModelName = Literal["teacher", "trimmed", "student", "initial", "untrained"]


class EvaluationSection(Section):
    """What the models can do."""

    models: list[ModelName] = ["teacher", "trimmed", "student", "initial", "untrained"]
    """Which models: initial is the student before distillation, untrained its architecture with random weights."""
    tasks: list[RetrievalTask] = []
    """On which tasks."""

    @model_validator(mode="after")
    def _each_once(self) -> EvaluationSection:
        for what, names in (("models", list(map(str, self.models))), ("tasks", [task.name for task in self.tasks])):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} names {', '.join(twice)} twice")
        return self
