"""The section that says what the student looks like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from distill.recipe.section import Count, CountOrNone, Section


class PruningSection(Section):
    """How the student gets narrower, where its hidden or feed-forward size is to be smaller than
    the teacher's.
    """

    steps: Count = 8
    """In how many steps the sizes go down, evenly; many small steps keep far more than one large
    one.
    """
    importance: Literal["taylor", "magnitude"] = "taylor"
    """What a unit is worth: how much the loss would change without it on the language's text, or
    the size of its weights.
    """
    batches: Count = 16
    """Batches of text that the Taylor importance of each step is computed on."""
    recover_tokens: CountOrNone = 0
    """Tokens of distillation after each step, by the recipe's objectives."""


class StudentSection(Section):
    """The student's architecture; what is not given stays as the teacher has it."""

    layers: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | None = None
    """How many layers, evenly spread over the teacher's and its last among them; or which, counted
    from 1. 6 by default.
    """
    intermediate_size: Count | None = None
    """Width of the feed-forward layers."""
    hidden_size: Count | None = None
    """Hidden size; whole attention heads go with it."""
    embedding_size: Count | None = None
    """Width of a factorised embedding table, which one matrix widens to the hidden size (ALBERT,
    Lan et al. 2020): a stock ELECTRA, for teachers of type bert, roberta or xlm-roberta.
    """
    pruning: PruningSection = PruningSection()
    """How a narrower student is pruned."""
    config: dict[str, Any] | None = None
    """A student that no pruning reaches: what a stock config says of it where it differs from the
    teacher's.
    """
    weights: Literal["copied", "random"] = "copied"
    """What a student of its own config starts from: as much of the teacher's weights as fits, or
    random ones.
    """
    model: str | None = None
    """An existing model as the student, a Hub id or a folder; its vocabulary is the teacher's, or
    already the trimmed one.
    """
    revision: str = "main"
    """That Hub model's branch, tag or commit."""
    head: Literal["keep", "drop"] = "keep"
    """What becomes of a fine-tuned teacher's head (classes, tags, scores): it goes along with its
    encoder, or the student is the encoder alone.
    """

    @model_validator(mode="after")
    def _one_way(self) -> StudentSection:
        if isinstance(self.layers, list) and (
            not self.layers or self.layers != sorted(set(self.layers))
        ):
            raise ValueError(
                "a list of layers names at least one, each once, in rising order; found "
                f"{self.layers}"
            )
        shape = [
            name
            for name in ("layers", "intermediate_size", "hidden_size", "embedding_size")
            if getattr(self, name) is not None
        ]
        given = [
            name
            for name, value in (("model", self.model), ("config", self.config))
            if value is not None
        ]
        if len(given) > 1 or (given and shape):
            raise ValueError(f"cannot have both {' and '.join([*given, *shape][:2])}; choose one")
        if self.weights == "random" and self.config is None:
            raise ValueError(
                "weights: random goes with config; without one the student is cut from the "
                "teacher's own weights"
            )
        return self

    @property
    def kept_layers(self) -> int | list[int]:
        """`layers` or its default."""
        return 6 if self.layers is None else self.layers
