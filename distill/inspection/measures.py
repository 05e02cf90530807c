"""One model's figures: its vectors of parallel sentences go in; a line for each layer and for each
language comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from distill.inspection.probe import language_accuracy
from distill.inspection.similarity import (
    anisotropy,
    centred_by_language,
    cosines,
    neighbour_shares,
    translation_accuracy,
)
from distill.inspection.unknown import Spelling
from distill.report.results.inspection import LanguageFigures, LayerFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrices:
    """Retrieval accuracy of every pair of languages, float64 [layers, from, into]."""

    plain: np.ndarray
    centred: np.ndarray


def measure_layers(
    vectors: np.ndarray,
    languages: int,
    *,
    seed: int,
    advance: Callable[[float], object] = lambda share: None,
) -> tuple[list[LayerFigures], Matrices]:
    """Figures of each layer of `vectors` [layers, languages x sentences, width], and its
    matrices.
    """
    figures: list[LayerFigures] = []
    plain: list[np.ndarray] = []
    centred: list[np.ndarray] = []
    for layer, rows in enumerate(vectors):
        vectors_LSD = rows.reshape(languages, -1, rows.shape[-1])
        similar = cosines(vectors_LSD)
        plain.append(translation_accuracy(similar))
        centred.append(translation_accuracy(cosines(centred_by_language(vectors_LSD))))
        language, translation = neighbour_shares(similar)
        figures.append(
            LayerFigures(
                layer=layer,
                retrieval=float(np.nanmean(plain[-1])),
                retrieval_centred=float(np.nanmean(centred[-1])),
                neighbour_translation=translation,
                neighbour_language=language,
                language_accuracy=language_accuracy(vectors_LSD, seed),
                anisotropy=anisotropy(similar),
            )
        )
        advance(1 / len(vectors))
    return figures, Matrices(plain=np.stack(plain), centred=np.stack(centred))


def measure_languages(
    languages: Sequence[str], spellings: Sequence[Spelling], matrices: Matrices, kept: str | None
) -> list[LanguageFigures]:
    """Figures of each language, from the last layer's matrices."""
    at = languages.index(kept) if kept in languages else None
    measured = []
    for position, (language, spelling) in enumerate(zip(languages, spellings, strict=True)):
        plain, centred = (
            _both_ways(matrix[-1], position) for matrix in (matrices.plain, matrices.centred)
        )
        with_kept = None if at is None or at == position else at
        measured.append(
            LanguageFigures(
                language=language,
                unknown_pieces=spelling.unknown_pieces,
                unknown_characters=spelling.unknown_characters,
                pieces_a_sentence=spelling.pieces_a_sentence,
                retrieval=float(np.nanmean(plain)),
                retrieval_centred=float(np.nanmean(centred)),
                retrieval_kept=None if with_kept is None else float(plain[with_kept]),
                retrieval_kept_centred=None if with_kept is None else float(centred[with_kept]),
            )
        )
    return measured


def _both_ways(matrix: np.ndarray, position: int) -> np.ndarray:
    """A language's accuracy with each other one, the mean of both directions."""
    return np.asarray((matrix[position] + matrix[:, position]) / 2)
