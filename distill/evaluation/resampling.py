"""Bootstraps of test rows (Efron & Tibshirani 1993): metrics of rows go in; their values in draws
that are the same for every model come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from distill.evaluation.statistics import Statistic

RESAMPLES = 2000
_BLOCK = 2_000_000
"""Weights that are held at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """A metric of one model on one test set."""

    values: np.ndarray
    """On the whole test set, one for each seed: [S]."""
    draws: np.ndarray
    """The mean over seeds in each bootstrap of the rows: [RESAMPLES]."""
    rows: int
    has_seeds: bool = True
    """False of what no seed changes, such as retrieval by a model as it is."""


def observe(
    statistics: Sequence[Statistic], rows: int, seed: int, *, has_seeds: bool = True
) -> Observed:
    """A metric on the whole set for each seed, and its mean over seeds in bootstraps that follow
    from `seed` and the number of rows alone.
    """
    every_row = np.ones((1, rows))
    draws = [
        np.mean([statistic(weights) for statistic in statistics], axis=0)
        for weights in draw_weights(rows, seed)
    ]
    return Observed(
        values=np.array([statistic(every_row)[0] for statistic in statistics]),
        draws=np.concatenate(draws),
        rows=rows,
        has_seeds=has_seeds,
    )


def average(parts: Sequence[Observed]) -> Observed:
    """The mean of several test sets; those of as many rows, translations of one another, share
    their draws.
    """
    return Observed(
        values=np.mean([part.values for part in parts], axis=0),
        draws=np.mean([part.draws for part in parts], axis=0),
        rows=max(part.rows for part in parts),
        has_seeds=any(part.has_seeds for part in parts),
    )


def draw_weights(rows: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row occurs in each bootstrap, [draws, rows] in blocks, RESAMPLES in all."""
    random = np.random.default_rng([seed, rows])
    size = max(1, min(RESAMPLES, _BLOCK // rows))
    for start in range(0, RESAMPLES, size):
        draws = min(size, RESAMPLES - start)
        chosen = random.integers(rows, size=(draws, rows)) + rows * np.arange(draws)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=draws * rows)
        yield counts.reshape(draws, rows).astype(np.float64)
