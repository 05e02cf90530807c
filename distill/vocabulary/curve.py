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

from distill.report.results.vocabulary import CurvePoint, TextFidelity, VocabularyResult
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.selection import Ranking, kept_by

MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Segments:
    """Segmented texts, their ids in one row."""

    ids: np.ndarray
    """int64, all texts' one after the other."""
    lengths: np.ndarray
    """int64, one a text."""

    @staticmethod
    def of(texts: Sequence[Sequence[int]]) -> Segments:
        """The ids of each text."""
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        ids = np.fromiter((i for ids in texts for i in ids), np.int64, count=int(lengths.sum()))
        return Segments(ids, lengths)

    def deepest(self, rank: np.ndarray) -> np.ndarray:
        """For each text the highest rank of its pieces and one more; 0 where none has any."""
        highest = np.zeros(len(self.lengths), dtype=np.int64)
        filled = self.lengths > 0
        starts = (np.cumsum(self.lengths) - self.lengths)[filled]
        if len(starts):
            highest[filled] = np.maximum.reduceat(rank[self.ids] + 1, starts)
        return highest


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Held-out text, segmented by the untrimmed tokenizer."""

    sentences: Segments
    words: Segments
    """The distinct words."""
    units: list[str]
    """The distinct units: words where those are segmented on their own, else whole sentences."""
    frequencies: np.ndarray
    """How often each unit occurs, int64."""
    unit_ids: Segments
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
        sentences=Segments.of(vocabulary.encode(sentences)),
        words=Segments.of(vocabulary.encode([vocabulary.units.within(word) for word in words])),
        units=list(units),
        frequencies=np.fromiter(units.values(), dtype=np.int64, count=len(units)),
        unit_ids=Segments.of(vocabulary.encode(list(units))),
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


def fidelity_lines(result: VocabularyResult) -> list[str]:
    """How each language and each text to check by fares, and what symbols cost, a line each."""
    lines = [
        f"  {text.name}: {text.chosen.heldout_identical:.1%} of {text.heldout_sentences:,} "
        f"sentences identical, {text.chosen.heldout_unknown_characters:.4%} of characters unknown "
        f"({text.heldout_unknown_characters_original:.4%} before), "
        f"{text.chosen.tokens_per_word:.3f} tokens a word ({text.tokens_per_word_original:.3f})"
        for text in [*result.languages, *result.other_texts]
    ]
    if result.symbols_unseen:
        lines.append(
            f"  {result.symbols_unseen:,} pieces stay as symbols that the text does not have"
        )
    return lines


class Curve:
    """What each size of vocabulary would leave of a model and of held-out text."""

    def __init__(
        self,
        rankings: Sequence[Ranking],
        vocabulary: Vocabulary,
        heldout: HeldOut,
        *,
        parameters: int,
        rows: int,
        piece_parameters: int,
    ) -> None:
        """Of the untrimmed model's `parameters`, each of the embedding's `rows` has
        `piece_parameters`, its output included; `rankings` are one a language.
        """
        self.rankings, self.vocabulary, self.heldout = rankings, vocabulary, heldout
        self._piece_parameters, self._fixed_parameters = (
            piece_parameters,
            parameters - rows * piece_parameters,
        )

    def point(self, kept: np.ndarray, min_count: int | None = None) -> CurvePoint:
        """What the `kept` pieces (sorted ids) would leave."""
        heldout = self.heldout
        trimmed = open_vocabulary(
            self.vocabulary.trim({int(old): new for new, old in enumerate(kept)})
        )
        gone = np.zeros(self.vocabulary.size, dtype=np.int64)
        gone[kept] = -1
        changed = np.flatnonzero(heldout.unit_ids.deepest(gone))
        texts = [heldout.units[i] for i in changed]
        lengths, unknown = heldout.unit_ids.lengths.copy(), heldout.unit_unknown.copy()
        lengths[changed] = [len(ids) for ids in trimmed.encode(texts)]
        unknown[changed] = trimmed.unknown_characters(texts)
        parameters = self._fixed_parameters + len(kept) * self._piece_parameters
        return CurvePoint(
            min_count=min_count,
            pieces=len(kept),
            heldout_identical=float((heldout.sentences.deepest(gone) == 0).mean()),
            heldout_words_identical=float((heldout.words.deepest(gone) == 0).mean()),
            heldout_unknown_characters=int(unknown @ heldout.frequencies) / heldout.characters,
            tokens_per_word=int(lengths @ heldout.frequencies) / heldout.running_words,
            parameters=parameters,
            bytes=4 * parameters,
        )

    def points(self) -> list[CurvePoint]:
        """The points of a row of thresholds, from many pieces to few."""
        return [
            self.point(
                kept_by(self.rankings, [ranking.at_least(count) for ranking in self.rankings]),
                count,
            )
            for count in MIN_COUNTS
        ]

    def fidelity(self, name: str, kept: np.ndarray) -> TextFidelity:
        """How the held-out text fares with the `kept` pieces and along the curve, under a name."""
        heldout, points = self.heldout, self.points()
        chosen = next((point for point in points if point.pieces == len(kept)), None)
        return TextFidelity(
            name=name,
            heldout_sentences=len(heldout.sentences.lengths),
            chosen=chosen or self.point(kept),
            curve=points,
            heldout_unknown_characters_original=int(heldout.unit_unknown @ heldout.frequencies)
            / heldout.characters,
            tokens_per_word_original=int(heldout.unit_ids.lengths @ heldout.frequencies)
            / heldout.running_words,
        )
