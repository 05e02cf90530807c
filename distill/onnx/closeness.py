"""How near an int8 file's sentence vectors are to those in float32: vectors go in; the figures, and
what they fall short of, come out.

Vectors of an encoder lie in a narrow cone: those of two different sentences have a cosine of .87
and more, so that a raw cosine near 1 says little. What tells sentences apart is left when the mean
is taken out, and which sentence is the nearest depends on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

LEAST_COSINE = 0.99
"""The raw mean cosine below which a file is not handed over, where there are too few sentences for
the figures below.
"""
LEAST_CENTRED = 0.97
"""The same with the mean taken out."""
LEAST_NEIGHBOURS = 0.75
"""The least share of sentences whose nearest one is the same; two that are as near as one another
may change places in a faithful file.
"""
_CENTRED_ROWS, _NEIGHBOUR_ROWS = 3, 16
"""Fewer sentences have no such figures that could be judged by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closeness:
    """Two sets of vectors of the same sentences, compared."""

    rows: int
    cosine: float
    """The mean over sentences of the cosine of the two vectors."""
    centred_cosine: float | None
    """The same with the mean of each set taken out; None of fewer than three sentences."""
    neighbours: float | None
    """The share of sentences whose nearest one is the same; None of fewer than three."""


def closeness(vectors: Vectors, other: Vectors) -> Closeness:
    """How near vectors [sentences, width] are to others of the same sentences."""
    enough = len(vectors) >= _CENTRED_ROWS
    return Closeness(
        rows=len(vectors),
        cosine=mean_cosine(vectors, other),
        centred_cosine=mean_cosine(vectors - vectors.mean(0), other - other.mean(0))
        if enough
        else None,
        neighbours=float((nearest(vectors) == nearest(other)).mean()) if enough else None,
    )


def shortfall(measured: Closeness) -> str | None:
    """What an int8 file with such vectors falls short of, or None if it is faithful."""
    if measured.centred_cosine is None:
        if measured.cosine >= LEAST_COSINE:
            return None
        return (
            f"in int8 the mean cosine of its vectors to those in float32 is {measured.cosine:.3f}, "
            f"less than {LEAST_COSINE}"
        )
    if not measured.centred_cosine >= LEAST_CENTRED:
        return (
            "in int8 the mean cosine of its vectors to those in float32, the mean taken out, is "
            f"{measured.centred_cosine:.3f}, less than {LEAST_CENTRED}"
        )
    if measured.neighbours is None or measured.rows < _NEIGHBOUR_ROWS:
        return None
    if measured.neighbours >= LEAST_NEIGHBOURS:
        return None
    return (
        f"in int8 {measured.neighbours:.0%} of {measured.rows} sentences have the nearest sentence "
        f"that they have in float32, fewer than {LEAST_NEIGHBOURS:.0%}"
    )


def mean_cosine(vectors: Vectors, other: Vectors) -> float:
    """The mean over rows of the cosine of two rows; 0 with a row of zeros."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other, axis=1)
    products = (vectors * other).sum(1)
    return float(np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0).mean())


def nearest(vectors: Vectors) -> npt.NDArray[np.int64]:
    """For each row the number of the other row that is nearest to it by cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return np.asarray(likeness.argmax(1))
