"""The section that says what MLflow gets besides the run."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from distill.recipe.section import Section


class TrackingSection(Section):
    """What MLflow gets besides the run itself."""

    registered: bool = Field(default=False, validation_alias=AliasChoices("register", "registered"))
    """`register: true` makes the student a version of the registered model distill-<language>,
    whose alias `best` moves to it if it keeps more of its teacher than the best so far: a higher
    mean retention over the scores that both have."""
