"""The section that says how size and speed are measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from distill.recipe.evaluation import ModelName
from distill.recipe.section import Section


class BenchmarkSection(Section):
    """How large and how fast the models are."""

    models: list[ModelName] = ["teacher", "trimmed", "student"]
    """Which models."""
    devices: list[Literal["cpu", "cuda"]] = ["cpu"]
    """On which devices; one that is absent is reported so."""
    threads: list[Annotated[int, Field(ge=1)] | Literal["all"]] = [1, "all"]
    """CPU threads."""
    batch_sizes: list[Annotated[int, Field(ge=1)]] = [1, 32]
    """Sequences at once."""
    lengths: list[Annotated[int, Field(ge=3)]] = [32, 128]
    """Tokens of a sequence."""
    seconds: Annotated[float, Field(gt=0)] = 4.0
    """Time spent on each combination of device, threads, batch size and length, all models together."""
