"""Size of vocabulary against what it keeps: a ranking and held-out text go in, a row of points
comes out.

Held-out text is segmented once. Which sentences and words a size leaves as they are follows from
that alone; only the words that it changes are segmented again, to tell what they become.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.report.results.vocabulary import CurvePoint
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.selection import Ranking

MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Held-out text, segmented by the untrimmed tokenizer."""

    sentences: list[list[int]]
    """The ids of each sentence."""
    words: list[list[int]]
    """The ids of each distinct word."""
    units: list[str]
    """The distinct units: words where those are segmented on their own, else whole sentences."""
    frequencies: np.ndarray
    """How often each unit occurs, int64."""
    unit_ids: list[list[int]]
    unit_unknown: np.ndarray
    """How many characters of each unit are unknown, int64."""
    running_words: int
    characters: int
    """All characters but blanks."""


def read_heldout(sentences: Sequence[str], vocabulary: Vocabulary) -> HeldOut:
    """Segment held-out sentences, their distinct words, and their units."""
    words = Counter(word for sentence in sentences for word in sentence.split())
    units = Counter(
        unit for sentence in sentences for unit in vocabulary.units.split(sentence) if unit
    )
    return HeldOut(
        sentences=vocabulary.encode(sentences),
        words=vocabulary.encode([vocabulary.units.within(word) for word in words]),
        units=list(units),
        frequencies=np.fromiter(units.values(), dtype=np.int64, count=len(units)),
        unit_ids=vocabulary.encode(list(units)),
        unit_unknown=np.array(vocabulary.unknown_characters(list(units)), dtype=np.int64),
        running_words=words.total(),
        characters=sum(len(word) * count for word, count in words.items()),
    )


def curve_table(curve: Sequence[CurvePoint], chosen: CurvePoint) -> list[str]:
    """The points of a curve as lines of text, the chosen one marked."""
    points = sorted(
        [*(point for point in curve if point.pieces != chosen.pieces), chosen],
        key=lambda p: -p.pieces,
    )
    lines = [
        "    pieces  seen  sentences identical  words identical  unknown characters  tokens a word "
        " parameters"
    ]
    for point in points:
        seen = "" if point.min_count is None else f"{point.min_count}+"
        lines.append(
            f"{'>' if point.pieces == chosen.pieces else ' '} {point.pieces:>8,} {seen:>5}  "
            f"{point.heldout_identical:>19.1%}  "
            f"{point.heldout_words_identical:>15.1%}  "
            f"{point.heldout_unknown_characters:>18.4%}  "
            f"{point.tokens_per_word:>13.3f}  {point.parameters / 1e6:>9.1f}M"
        )
    return lines


class Curve:
    """What each size of vocabulary would leave of a model and of held-out text."""

    def __init__(
        self,
        ranking: Ranking,
        vocabulary: Vocabulary,
        heldout: HeldOut,
        *,
        parameters: int,
        rows: int,
        piece_parameters: int,
    ) -> None:
        """Of the untrimmed model's `parameters`, each of the embedding's `rows` has
        `piece_parameters`, its output included.
        """
        self.ranking, self.vocabulary, self.heldout = ranking, vocabulary, heldout
        self.deepest = ranking.deepest(heldout.sentences)
        """For each held-out sentence how many optional pieces it takes."""
        self._words, self._units = ranking.deepest(heldout.words), ranking.deepest(heldout.unit_ids)
        self._lengths = np.array([len(ids) for ids in heldout.unit_ids], dtype=np.int64)
        self._piece_parameters, self._fixed_parameters = (
            piece_parameters,
            parameters - rows * piece_parameters,
        )

    def point(self, optional: int, min_count: int | None = None) -> CurvePoint:
        """What the required pieces and the first `optional` others would leave."""
        kept, heldout = self.ranking.kept(optional), self.heldout
        trimmed = open_vocabulary(
            self.vocabulary.trim({int(old): new for new, old in enumerate(kept)})
        )
        changed = np.flatnonzero(self._units > optional)
        texts = [heldout.units[i] for i in changed]
        lengths, unknown = self._lengths.copy(), heldout.unit_unknown.copy()
        lengths[changed] = [len(ids) for ids in trimmed.encode(texts)]
        unknown[changed] = trimmed.unknown_characters(texts)
        parameters = self._fixed_parameters + len(kept) * self._piece_parameters
        return CurvePoint(
            min_count=min_count,
            pieces=len(kept),
            heldout_identical=float((self.deepest <= optional).mean()),
            heldout_words_identical=float((self._words <= optional).mean()),
            heldout_unknown_characters=int(unknown @ heldout.frequencies) / heldout.characters,
            tokens_per_word=int(lengths @ heldout.frequencies) / heldout.running_words,
            parameters=parameters,
            bytes=4 * parameters,
        )

    def points(self) -> list[CurvePoint]:
        """The points of a row of thresholds, from many pieces to few."""
        return [self.point(self.ranking.at_least(count), count) for count in MIN_COUNTS]
