"""The section that says what MLflow gets besides the run."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from distill.recipe.section import Section


class TrackingSection(Section):
    """What MLflow gets besides the run itself."""

    registered: bool = Field(default=False, validation_alias=AliasChoices("register", "registered"))
    """`register: true` makes the student a version of the registered model distill-<language>,
    whose alias `best` moves to it if its fine-tunes score higher on dev than those of the best so
    far: the mean over tasks, of students of the same teacher on the same tasks."""
