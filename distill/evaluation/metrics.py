"""Metrics: gold values and predictions, or a ranking, go in; one number comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from functools import partial
from itertools import chain

import numpy as np

_ROUNDING = 1e-6
"""Cosines of equal vectors differ by about this much within one matrix product, whose edges are
computed otherwise.
"""


def ranks_of_answers(similarity: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each query's answer; a passage as similar as the answer counts as ranked
    before it.

    `similarity` is [queries, passages]; `answers` the index of each query's passage. Counting ties
    against the answer keeps a model that maps everything to one vector, or to no number at all, at
    the bottom.
    """
    to_answer = np.take_along_axis(similarity, answers[:, None], axis=1)
    return np.asarray((~(similarity < to_answer - _ROUNDING)).sum(axis=1))


def ranks_by_vectors(
    queries: np.ndarray,
    passages: np.ndarray,
    answers: np.ndarray,
    block: int = 512,
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda one, other: one @ other.T,
) -> np.ndarray:
    """What `ranks_of_answers` gives of the vectors' similarities, [queries, width] and [passages,
    width], by `compare` (their products by default), for a block of queries at a time: of 100,000
    passages 200 MB each.
    """
    return np.concatenate(
        [
            ranks_of_answers(compare(queries[at : at + block], passages), answers[at : at + block])
            for at in range(0, len(queries), block)
        ]
    )


def reciprocal_ranks(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """1 / rank where the rank is at most `depth`, else 0: its mean is MRR@depth (Craswell 2009)."""
    return np.asarray(np.where(ranks <= depth, 1.0 / ranks, 0.0))


def discounted_gains(ranks: np.ndarray, depth: int = 10) -> np.ndarray:
    """1 / log2(1 + rank) where the rank is at most `depth`, else 0: with one right answer a query,
    its mean is nDCG@depth (Järvelin & Kekäläinen 2002).
    """
    return np.asarray(np.where(ranks <= depth, 1.0 / np.log2(1.0 + ranks), 0.0))


def first_hits(ranks: np.ndarray) -> np.ndarray:
    """1 where the answer ranks first, else 0: its mean is recall@1."""
    return np.asarray(ranks == 1, dtype=np.float64)


PER_QUERY = {
    "mrr@10": reciprocal_ranks,
    "recall@1": first_hits,
    "ndcg@10": discounted_gains,
}
"""For each retrieval metric, what each query contributes to its mean."""


def accuracy(gold: np.ndarray, predicted: np.ndarray) -> float:
    """The share that is right."""
    return float((gold == predicted).mean())


def macro_f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each class that occurs in either, averaged over classes; 0 for one that is never
    right.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0.0))


def mcc(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews' correlation, for any number of classes (Gorodkin 2004); 0 where one side is
    constant.
    """
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(gold, predicted))


def pearson(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation; 0 where one side is constant or no number, and so says nothing of the
    other.
    """
    from scipy.stats import pearsonr

    return (
        float(pearsonr(gold, predicted).statistic) if _varies(gold) and _varies(predicted) else 0.0
    )


def spearman(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one side is constant or no number."""
    from scipy.stats import spearmanr

    return (
        float(spearmanr(gold, predicted).statistic) if _varies(gold) and _varies(predicted) else 0.0
    )


def nominal_alpha(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Krippendorff's alpha of the two as coders of classes (Krippendorff 2011, section C)."""
    values = np.concatenate([gold, predicted])
    _, counts = np.unique(values, return_counts=True)
    pairs = len(values) * (len(values) - 1)
    expected = 1.0 - float((counts * (counts - 1)).sum()) / pairs
    return _alpha(float((gold != predicted).mean()), expected)


def interval_alpha(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Krippendorff's alpha of the two as coders of numbers (Krippendorff 2011, section D, interval
    difference).
    """
    values = np.concatenate([gold, predicted]).astype(np.float64)
    if not np.isfinite(values).all():
        return 0.0
    observed = float(((gold - predicted) ** 2).mean())
    # The mean squared difference of all ordered pairs of values is twice their unbiased variance.
    return _alpha(observed, 2.0 * float(values.var(ddof=1)))


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """F1 of whole entities over all sentences of IOB2 tags, as conlleval counts (Tjong Kim Sang &
    De Meulder 2003).
    """
    from seqeval.metrics import f1_score

    return float(
        f1_score([list(tags) for tags in gold], [list(tags) for tags in predicted], zero_division=0)
    )


def set_f1(gold: Sequence[Set[str]], predicted: Sequence[Set[str]], average: str) -> float:
    """F1 of classes of which a row has none, one or several: `macro`, the mean over the classes
    that occur in either, or `micro`, of all labels together.
    """
    both = [truth & answer for truth, answer in zip(gold, predicted, strict=True)]
    right, there, said = (Counter(chain.from_iterable(rows)) for rows in (both, gold, predicted))
    if average == "micro":
        return 2 * right.total() / max(1, there.total() + said.total())
    shares = [2 * right[name] / (there[name] + said[name]) for name in there | said]
    return float(np.mean(shares)) if shares else 0.0


SETS: dict[str, Callable[[Sequence[Set[str]], Sequence[Set[str]]], float]] = {
    "macro_f1": partial(set_f1, average="macro"),
    "micro_f1": partial(set_f1, average="micro"),
}
"""Metrics of rows that can have several classes."""
CLASSES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "macro_f1": macro_f1,
    "accuracy": accuracy,
    "mcc": mcc,
    "alpha": nominal_alpha,
}
"""Metrics of classes."""
NUMBERS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "pearson": pearson,
    "spearman": spearman,
    "alpha": interval_alpha,
}
"""Metrics of numbers."""


def _varies(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and values.min() < values.max())


def _alpha(observed: float, expected: float) -> float:
    """1 without disagreement, 0 by chance; without any variation there is none."""
    return 1.0 - observed / expected if expected > 0 else 1.0
