"""Which pieces stay: counts, what must be kept and a target go in; sorted ids come out.

Pieces are ranked by frequency; what is kept is always the required pieces and the first so many of
the ranking. A text keeps its segmentation if and only if every piece of its original segmentation
is kept with what it needs, so one pass over segmented held-out text tells for every sentence, and
so for every size, whether it does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from distill.recipe import VocabularySection
from distill.runtime.errors import UserError

DEFAULT_MIN_COUNT = 3


class Ranking:
    """The pieces that are always kept, and the others by falling frequency (ties by id).

    A piece that others need ranks with the most frequent of them, and before it: what is kept never
    lacks what it needs.
    """

    def __init__(
        self,
        counts: np.ndarray,
        required: Collection[int],
        *,
        needs: np.ndarray | None = None,
        existing: Collection[int] | None = None,
    ) -> None:
        """Rank the pieces of `counts`, one an id; `needs` are pairs of ids, [pairs, 2],
        transitively closed.

        `existing` are the ids that a piece has, all unless given.
        """
        needs = np.empty((0, 2), dtype=np.int64) if needs is None else needs
        self.counts, self.needs = counts, needs
        wanted = needs[np.isin(needs[:, 0], list(required)), 1]
        self.required = frozenset(map(int, [*required, *wanted]))
        self.standing = counts.copy()
        """How often a piece, or the most frequent piece that needs it, occurs."""
        np.maximum.at(self.standing, needs[:, 1], counts[needs[:, 0]])
        # Of a piece and what it needs, the latter needs less: with equal standing it comes first.
        needing = np.bincount(needs[:, 0], minlength=len(counts))
        order = np.lexsort((np.arange(len(counts)), needing, -self.standing))
        optional = np.isin(order, list(self.required), invert=True)
        if existing is not None:
            optional &= np.isin(order, list(existing))
        self.optional: np.ndarray = order[optional]
        """The other pieces, in their order."""
        self.rank = np.full(len(counts), -1, dtype=np.int64)
        """The place of each piece among the optional ones; -1 for required pieces, which come
        before all others.
        """
        self.rank[self.optional] = np.arange(len(self.optional))

    @property
    def seen(self) -> int:
        """How many optional pieces occur in the text at all, those that they need included."""
        return int((self.standing[self.optional] > 0).sum())

    @property
    def whole(self) -> int:
        """How many pieces there are."""
        return len(self.required) + len(self.optional)

    def at_least(self, count: float) -> int:
        """How many optional pieces occur `count` times or more, those that they need included."""
        return int((self.standing[self.optional] >= count).sum())

    def kept(self, optional: int) -> np.ndarray:
        """Sorted ids of the required pieces and the first `optional` others."""
        return np.sort(
            np.concatenate([np.fromiter(self.required, dtype=np.int64), self.optional[:optional]])
        )


def kept_by(rankings: Sequence[Ranking], optional: Sequence[int]) -> np.ndarray:
    """Sorted ids of the required pieces and of so many others of each ranking."""
    kept = [ranking.kept(count) for ranking, count in zip(rankings, optional, strict=True)]
    return np.unique(np.concatenate(kept))


def choose_size(ranking: Ranking, section: VocabularySection, deepest: np.ndarray) -> int:
    """How many optional pieces to keep under the recipe's target; `deepest` is that of the held-out
    sentences.

    Raises UserError if the target cannot be reached.
    """
    required = len(ranking.required)
    if section.size is not None:
        if section.size < required:
            raise UserError(
                f"vocabulary.size: {section.size} is fewer than the {required} pieces that are "
                "always kept "
                "(special pieces, the alphabet, symbols, and what keep and lexicon name); give a "
                "larger size, or set symbols: false or alphabet: false."
            )
        if section.size > ranking.whole:
            raise UserError(
                f"vocabulary.size: {section.size} is more than the teacher's {ranking.whole} "
                "pieces."
            )
        return section.size - required
    if section.coverage is not None:
        counts = ranking.counts[ranking.optional]
        covered = ranking.counts[list(ranking.required)].sum() + np.cumsum(np.append(0, counts))
        return int(
            min(np.searchsorted(covered, section.coverage * ranking.counts.sum()), ranking.seen)
        )
    if section.identical is not None:
        needed = np.sort(deepest)
        pieces = int(needed[int(np.ceil(section.identical * len(needed))) - 1])
        if pieces > ranking.seen:
            reachable = float((needed <= ranking.seen).mean())
            raise UserError(
                f"vocabulary.identical: {section.identical} is out of reach; keeping every piece "
                "that the training text "
                f"has leaves {reachable:.4f} of the held-out sentences unchanged. More text is the "
                "main lever, "
                "then a lexicon of the language."
            )
        return pieces
    return ranking.at_least(DEFAULT_MIN_COUNT if section.min_count is None else section.min_count)


def find_pieces(ids: dict[str, int], pieces: Sequence[str], pattern: str | None) -> set[int]:
    """Ids of the named pieces and of those that match the pattern whole.

    Raises UserError for a piece that does not exist and a pattern that nothing matches.
    """
    import difflib
    import re

    for piece in pieces:
        if piece not in ids:
            marked = (mark.format(piece) for mark in ("▁{}", "Ġ{}", "##{}", "{}</w>"))
            near = [form for form in marked if form in ids] or difflib.get_close_matches(
                piece, ids, n=1
            )
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else "name pieces as the tokenizer writes them."
            )
            raise UserError(f"vocabulary.keep.pieces: the teacher has no piece {piece!r}; {hint}")
    chosen = {ids[piece] for piece in pieces}
    if pattern is not None:
        matching = {i for piece, i in ids.items() if re.fullmatch(pattern, piece)}
        if not matching:
            raise UserError(
                f"vocabulary.keep.pattern: no piece of the teacher matches {pattern!r} whole."
            )
        chosen |= matching
    return chosen
