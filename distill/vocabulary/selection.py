"""Which pieces stay: counts and a target go in, sorted ids come out, with the curve of size against fidelity.

Pieces are ranked by frequency; what is kept is always the required pieces and the first so many of the ranking. A text
keeps its segmentation if and only if every piece of its original segmentation is kept (exact for Unigram, where
dropping a losing piece cannot change the winner), so one pass over segmented held-out text gives the whole curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from distill.errors import UserError
from distill.recipe import VocabularySection

DEFAULT_MIN_COUNT = 3
CURVE_MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """One size of vocabulary and what it would leave unchanged."""

    min_count: int
    pieces: int
    heldout_identical: float
    """Share of held-out sentences that keep their segmentation."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The pieces that are always kept, and the others by falling frequency (ties by id).

    A piece that others need ranks with the most frequent of them, and before it: what is kept never lacks what it needs.
    """

    counts: np.ndarray
    required: frozenset[int]
    needs: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    """Pairs of ids, [pairs, 2]: a piece, and one that must be kept with it and needs none itself."""

    def __post_init__(self) -> None:
        standing = self.counts.copy()
        np.maximum.at(standing, self.needs[:, 1], self.counts[self.needs[:, 0]])
        needed = np.isin(np.arange(len(standing)), self.needs[:, 1])
        order = np.lexsort((np.arange(len(standing)), ~needed, -standing))
        optional = order[~np.isin(order, list(self.required))]
        rank = np.full(len(self.counts), -1, dtype=np.int64)  # required pieces come before all others
        rank[optional] = np.arange(len(optional))
        object.__setattr__(self, "optional", optional)
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "standing", standing)

    optional: np.ndarray = None  # type: ignore[assignment]
    rank: np.ndarray = None  # type: ignore[assignment]
    standing: np.ndarray = None  # type: ignore[assignment]

    @property
    def seen(self) -> int:
        """How many optional pieces occur in the text at all, those that they need included."""
        return self.at_least(1)

    def at_least(self, count: int) -> int:
        """How many optional pieces occur `count` times or more, those that they need included."""
        return int((self.standing[self.optional] >= count).sum())

    def kept(self, optional: int) -> np.ndarray:
        """Sorted ids of the required pieces and the first `optional` others."""
        return np.sort(np.concatenate([np.fromiter(self.required, dtype=np.int64), self.optional[:optional]]))

    def deepest(self, sentences: Sequence[Sequence[int]]) -> np.ndarray:
        """For each segmented sentence, how many optional pieces must be kept so that it keeps its segmentation."""
        return np.array([self.rank[list(ids)].max(initial=-1) + 1 for ids in sentences], dtype=np.int64)


def select_pieces(ranking: Ranking, section: VocabularySection, heldout: Sequence[Sequence[int]]) -> np.ndarray:
    """Sorted ids of the pieces to keep under the recipe's target; `heldout` holds the ids of each held-out sentence.

    Raises UserError if the target cannot be reached.
    """
    return ranking.kept(_optional_pieces(ranking, section, heldout))


def _optional_pieces(ranking: Ranking, section: VocabularySection, heldout: Sequence[Sequence[int]]) -> int:
    required = len(ranking.required)
    if section.size is not None:
        if section.size < required:
            raise UserError(
                f"vocabulary.size: {section.size} is fewer than the {required} pieces that are always kept "
                "(special pieces and the alphabet); give a larger size or set alphabet: false."
            )
        if section.size > len(ranking.counts):
            raise UserError(f"vocabulary.size: {section.size} is more than the teacher's {len(ranking.counts)} pieces.")
        return section.size - required
    if section.coverage is not None:
        counts = ranking.counts[ranking.optional]
        covered = ranking.counts[list(ranking.required)].sum() + np.cumsum(np.append(0, counts))
        return int(min(np.searchsorted(covered, section.coverage * ranking.counts.sum()), ranking.seen))
    if section.identical is not None:
        needed = np.sort(ranking.deepest(heldout))
        pieces = int(needed[int(np.ceil(section.identical * len(needed))) - 1])
        if pieces > ranking.seen:
            reachable = float((needed <= ranking.seen).mean())
            raise UserError(
                f"vocabulary.identical: {section.identical} is out of reach; keeping every piece that the training text "
                f"has leaves {reachable:.4f} of the held-out sentences unchanged. More text is the main lever."
            )
        return pieces
    return ranking.at_least(DEFAULT_MIN_COUNT if section.min_count is None else section.min_count)


def fidelity_curve(ranking: Ranking, heldout: Sequence[Sequence[int]]) -> list[CurvePoint]:
    """Vocabulary size against held-out fidelity, at a row of thresholds."""
    needed = ranking.deepest(heldout)
    return [
        CurvePoint(
            min_count=count,
            pieces=len(ranking.required) + (optional := ranking.at_least(count)),
            heldout_identical=float((needed <= optional).mean()),
        )
        for count in CURVE_MIN_COUNTS
    ]
