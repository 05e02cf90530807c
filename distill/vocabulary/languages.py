"""Which pieces stay under one target: a ranking for each language goes in; sorted ids come out.

With several languages the target holds in each: the fewest pieces of each language's own ranking
are kept whose union reaches it everywhere, since a piece that one language needs serves the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distill.recipe import VocabularySection
from distill.runtime.errors import UserError
from distill.vocabulary.alphabet import alphabet_of, scripts_of
from distill.vocabulary.counting import Counts
from distill.vocabulary.families import Vocabulary
from distill.vocabulary.segments import Segments
from distill.vocabulary.selection import Ranking, choose_size, kept_by
from distill.vocabulary.symbols import symbol_pieces


def rank_pieces(
    vocabulary: Vocabulary,
    section: VocabularySection,
    counts: Counts,
    pinned: set[int],
    weights: Sequence[float],
    languages: Sequence[int],
) -> tuple[list[Ranking], set[int]]:
    """A ranking for each language over the same pieces, and the ids that stay as symbols alone."""
    scripts = {script for points in counts.code_points for script in scripts_of(points)}
    letters = alphabet_of(counts.characters, scripts) if section.alphabet else ()
    spelled = pinned | vocabulary.alphabet(letters)
    symbols = symbol_pieces(vocabulary, scripts) - spelled if section.symbols else set()
    required = spelled | symbols
    # What no text has can only be kept where a number of pieces is asked for.
    occurring = np.flatnonzero(counts.pieces.any(axis=0)).tolist()
    candidates = set(vocabulary.ids.values() if section.size is not None else occurring) | required
    needs = vocabulary.needs(candidates - vocabulary.special)
    weighed = np.asarray(weights, dtype=float)
    rankings = [
        Ranking(
            np.where(np.asarray(languages) == number, weighed, 0.0) @ counts.pieces,
            required,
            needs=needs,
            existing=vocabulary.ids.values(),
        )
        for number in range(max(languages) + 1)
    ]
    return rankings, symbols


def choose_pieces(
    rankings: Sequence[Ranking],
    section: VocabularySection,
    heldout: Sequence[Segments],
    languages: Sequence[str],
) -> np.ndarray:
    """The pieces to keep, sorted ids; `rankings` and `heldout` are one a language.

    Raises UserError if the target cannot be reached.
    """
    if len(rankings) == 1:
        (ranking,), (sentences,) = rankings, heldout
        return ranking.kept(choose_size(ranking, section, sentences.deepest(ranking.rank)))
    if section.size is not None:
        joint = _by_highest_share(rankings)
        return joint.kept(choose_size(joint, section, np.zeros(0, dtype=np.int64)))
    if section.identical is not None:
        return _fewest_for_all(rankings, section.identical, heldout, languages)
    none = np.zeros(0, dtype=np.int64)
    return kept_by(rankings, [choose_size(ranking, section, none) for ranking in rankings])


def _by_highest_share(rankings: Sequence[Ranking]) -> Ranking:
    """Pieces by their share of the running text of the language that has most of them."""
    shares = [ranking.counts / max(1.0, ranking.counts.sum()) for ranking in rankings]
    first = rankings[0]
    existing = [*first.required, *first.optional]
    return Ranking(np.max(shares, axis=0), first.required, needs=first.needs, existing=existing)


def _fewest_for_all(
    rankings: Sequence[Ranking],
    target: float,
    heldout: Sequence[Segments],
    languages: Sequence[str],
) -> np.ndarray:
    """From what each language needs by itself, fewer of one after the other for as long as every
    language stays at the target.
    """
    size = len(rankings[0].rank)

    def others(optional: Sequence[int], left_out: int | None = None) -> np.ndarray:
        """Which ids are kept without one language's own, as a mask."""
        mask = np.zeros(size, dtype=bool)
        for number, ranking in enumerate(rankings):
            mask[ranking.kept(0 if number == left_out else optional[number])] = True
        return mask

    everything = [ranking.seen for ranking in rankings]
    unseen = np.where(others(everything), -1, 0)
    for name, sentences in zip(languages, heldout, strict=True):
        reachable = float((sentences.deepest(unseen) == 0).mean())
        if reachable < target:
            raise UserError(
                f"vocabulary.identical: {target} is out of reach in {name}; keeping every piece "
                f"that the training text has leaves {reachable:.4f} of its held-out sentences "
                "unchanged. More text is the main lever, then a lexicon of the language."
            )

    def needed(number: int, mask: np.ndarray) -> int:
        """How many of one ranking reach the target in every language beside what `mask` keeps."""
        rank = np.where(mask, -1, rankings[number].rank)
        return max(_quantile(sentences.deepest(rank), target) for sentences in heldout)

    shares = [
        min(_quantile(sentences.deepest(ranking.rank), target), ranking.seen)
        for ranking, sentences in zip(rankings, heldout, strict=True)
    ]
    kept = np.where(others(shares), -1, 0)
    reached = (float((one.deepest(kept) == 0).mean()) for one in heldout)
    optional = shares if all(share >= target for share in reached) else everything
    while True:
        before = list(optional)
        for number in range(len(rankings)):
            optional[number] = min(optional[number], needed(number, others(optional, number)))
        if optional == before:
            return kept_by(rankings, optional)


def _quantile(deepest: np.ndarray, share: float) -> int:
    """The least depth that covers a share of the texts."""
    return int(np.sort(deepest)[int(np.ceil(share * len(deepest))) - 1])
