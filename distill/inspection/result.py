"""What an inspection finds: the shape of inspection.json."""

from __future__ import annotations

from dataclasses import dataclass

from distill.inspection.measures import LanguageFigures, LayerFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectedModel:
    """One model's figures."""

    model: str
    layers: list[LayerFigures]
    languages: list[LanguageFigures]
    cka: list[list[float]]
    """Linear CKA, [its layers][layers of the first model], on the sentences of the language that students were made for, or
    on all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectionResult:
    """Every model's figures, the first model's first, and what they were measured on."""

    sentences: int
    """Of each language."""
    languages: list[str]
    kept: str | None
    """The language that the students were made for."""
    precision: str
    models: list[InspectedModel]
