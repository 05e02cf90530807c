"""Metrics of a ranking, and intervals by the bootstrap."""

from __future__ import annotations

import numpy as np

_RESAMPLES = 2000
_ROUNDING = 1e-6
"""Cosines of equal vectors differ by about this much within one matrix product, whose edges are computed otherwise."""


def ranks_of_answers(similarity: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each query's answer; a passage as similar as the answer counts as ranked before it.

    `similarity` is [queries, passages]; `answers` the index of each query's passage. Counting ties against the answer
    keeps a model that maps everything to one vector, or to no number at all, at the bottom.
    """
    own = np.take_along_axis(similarity, answers[:, None], axis=1)
    return np.asarray((~(similarity < own - _ROUNDING)).sum(axis=1))


def reciprocal_ranks(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """1 / rank where the rank is at most `depth`, else 0: its mean is MRR@depth (Craswell 2009)."""
    return np.asarray(np.where(ranks <= depth, 1.0 / ranks, 0.0))


def first_hits(ranks: np.ndarray) -> np.ndarray:
    """1 where the answer ranks first, else 0: its mean is recall@1."""
    return np.asarray(ranks == 1, dtype=np.float64)


PER_QUERY = {"mrr@10": reciprocal_ranks, "recall@1": first_hits}
"""For each retrieval metric, what each query contributes to its mean."""


def bootstrap_interval(values: np.ndarray, seed: int, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of the mean of `values` (Efron & Tibshirani 1993, chapter 13)."""
    random = np.random.default_rng(seed)
    means = [random.choice(values, size=len(values)).mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
