"""What the nearest vectors say: a layer's vectors go in; how often a translation, or the language,
is nearest comes out.
"""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-6
"""Cosines of equal vectors differ by about this much within one matrix product."""


def centred_by_language(vectors_LSD: np.ndarray) -> np.ndarray:
    """The vectors less the mean of their language, which takes out what all of its sentences share
    (Libovický 2020).
    """
    return np.asarray(vectors_LSD - vectors_LSD.mean(axis=1, keepdims=True))


def cosines(vectors_LSD: np.ndarray) -> np.ndarray:
    """The cosine of every two vectors, [languages, sentences, languages, sentences]; 0 with a
    vector of zeros.
    """
    languages, sentences, width = vectors_LSD.shape
    flat = vectors_LSD.reshape(-1, width)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return np.asarray((unit @ unit.T).reshape(languages, sentences, languages, sentences))


def translation_accuracy(cosines_LSLS: np.ndarray) -> np.ndarray:
    """How often a sentence's translation is the nearest of all sentences of the other language:
    float64 [from, into].

    Both directions are there; a language into itself is no number. Another sentence as near as the
    translation counts against it, so that a model with one vector for everything gets 0. (Artetxe &
    Schwenk 2019, section 4.3, by cosine.)
    """
    languages, sentences = cosines_LSLS.shape[:2]
    accuracy = np.empty((languages, languages))
    at = np.arange(sentences)
    for language, block_SLS in enumerate(cosines_LSLS):
        own_SL = block_SLS[at, :, at]
        farther = (block_SLS < own_SL[:, :, None] - _ROUNDING).sum(axis=-1)
        accuracy[language] = (farther == sentences - 1).mean(axis=0)
        accuracy[language, language] = np.nan
    return accuracy


def neighbour_shares(cosines_LSLS: np.ndarray) -> tuple[float, float]:
    """Of all vectors, the shares whose nearest other vector is in the same language, and is a
    translation.

    What remains is another sentence in another language. This is what a projection shows as
    clusters.
    """
    languages, sentences = cosines_LSLS.shape[:2]
    square = cosines_LSLS.reshape(languages * sentences, -1).copy()
    np.fill_diagonal(square, -np.inf)
    row, nearest = np.arange(len(square)), square.argmax(axis=1)
    same_language = row // sentences == nearest // sentences
    return float(same_language.mean()), float((row % sentences == nearest % sentences).mean())


def anisotropy(cosines_LSLS: np.ndarray) -> float:
    """The mean cosine of two different vectors, over all pairs: the expectation over random ones
    (Ethayarajh 2019, section 3).

    0 for directions spread evenly, 1 for all in one direction.
    """
    rows = cosines_LSLS.shape[0] * cosines_LSLS.shape[1]
    square = cosines_LSLS.reshape(rows, rows)
    return float(
        (square.sum(dtype=np.float64) - np.trace(square, dtype=np.float64)) / (rows * (rows - 1))
    )
