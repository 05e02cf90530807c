"""What inspection returns: figures by layer and by language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFigures:
    """What one layer's sentence vectors are like; shares of 1. Layer 0 is the embeddings'."""

    layer: int
    retrieval: float
    """How often the translation is the nearest sentence of the other language, over all pairs in
    both directions.
    """
    retrieval_centred: float
    """The same after the mean of each language is taken out."""
    neighbour_translation: float
    """How often the nearest vector of all is a translation."""
    neighbour_language: float
    """How often it is in the same language."""
    language_accuracy: float
    """How often a linear probe names the language; chance is 1 / languages."""
    anisotropy: float
    """Mean cosine of two vectors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageFigures:
    """How a model fares with one language: its spelling, and retrieval in the last layer."""

    language: str
    unknown_pieces: float
    unknown_characters: float
    pieces_a_sentence: float
    retrieval: float
    """With every other language, both directions."""
    retrieval_centred: float
    retrieval_kept: float | None
    """With the language that a student was made for, both directions; None for itself, or without
    one.
    """
    retrieval_kept_centred: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectedModel:
    """One model's figures."""

    model: str
    layers: list[LayerFigures]
    languages: list[LanguageFigures]
    cka: list[list[float]]
    """Linear CKA, [its layers][layers of the first model], on the sentences of the language that
    students were made for, or on all."""


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
