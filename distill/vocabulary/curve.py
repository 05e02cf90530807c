"""Size of vocabulary against what it keeps: a ranking and held-out texts go in, a row of points
for each comes out.

Held-out text is segmented once. Which sentences and words a size leaves as they are follows from
that alone; only the units that it changes are segmented again, to tell what they become.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from distill.report.results.vocabulary import CurvePoint, TextFidelity, VocabularyResult
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.segments import HeldOut, SegmentedUnits, Segments
from distill.vocabulary.selection import Ranking, kept_by

MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)


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
    """What each size of vocabulary would leave of a model and of held-out texts."""

    def __init__(
        self,
        rankings: Sequence[Ranking],
        vocabulary: Vocabulary,
        units: SegmentedUnits,
        *,
        parameters: int,
        rows: int,
        piece_parameters: int,
    ) -> None:
        """Of the untrimmed model's `parameters`, each of the embedding's `rows` has
        `piece_parameters`, its output included; `rankings` are one a language, `units` those of all
        texts.
        """
        self.rankings, self.vocabulary, self.units = rankings, vocabulary, units
        self._piece_parameters, self._fixed_parameters = (
            piece_parameters,
            parameters - rows * piece_parameters,
        )
        self._trimmed: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def point(self, text: HeldOut, kept: np.ndarray, min_count: int | None = None) -> CurvePoint:
        """What the `kept` pieces (sorted ids) would leave of the text."""
        gone = self._gone(kept)
        lengths, unknown = self._lengths_and_unknown(kept)
        parameters = self._fixed_parameters + len(kept) * self._piece_parameters
        return CurvePoint(
            min_count=min_count,
            pieces=len(kept),
            heldout_identical=_share_without(gone, text.sentences),
            heldout_words_identical=_share_without(gone, text.words),
            heldout_unknown_characters=int(unknown @ text.frequencies) / text.characters,
            tokens_per_word=int(lengths @ text.frequencies) / text.running_words,
            parameters=parameters,
            bytes=4 * parameters,
        )

    def points(self, text: HeldOut) -> list[CurvePoint]:
        """The points of a row of thresholds, from many pieces to few."""
        return [self.point(text, kept, count) for count, kept in self._kept_at_least.items()]

    def fidelity(self, name: str, text: HeldOut, kept: np.ndarray) -> TextFidelity:
        """How the text fares with the `kept` pieces and along the curve, under a name."""
        points = self.points(text)
        chosen = next((point for point in points if point.pieces == len(kept)), None)
        return TextFidelity(
            name=name,
            heldout_sentences=len(text.sentences.lengths),
            chosen=chosen or self.point(text, kept),
            curve=points,
            heldout_unknown_characters_original=int(self.units.unknown @ text.frequencies)
            / text.characters,
            tokens_per_word_original=int(self.units.ids.lengths @ text.frequencies)
            / text.running_words,
        )

    @cached_property
    def _kept_at_least(self) -> dict[int, np.ndarray]:
        """The pieces that each threshold keeps, of all texts the same."""
        return {
            count: kept_by(self.rankings, [ranking.at_least(count) for ranking in self.rankings])
            for count in MIN_COUNTS
        }

    def _gone(self, kept: np.ndarray) -> np.ndarray:
        """For each id 0 where its piece is gone, and -1 where it is kept."""
        gone = np.zeros(self.vocabulary.size, dtype=np.int64)
        gone[kept] = -1
        return gone

    def _lengths_and_unknown(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many pieces and how many unknown characters each unit has with the `kept` pieces
        alone. Kept by those: several texts are asked for the same.
        """
        if (key := kept.tobytes()) not in self._trimmed:
            trimmed = open_vocabulary(
                self.vocabulary.trim({int(old): new for new, old in enumerate(kept)})
            )
            changed = np.flatnonzero(self.units.ids.deepest(self._gone(kept)))
            texts = [self.units.texts[i] for i in changed]
            lengths, unknown = self.units.ids.lengths.copy(), self.units.unknown.copy()
            encoded = trimmed.encode(texts)
            lengths[changed] = [*map(len, encoded)]
            unknown[changed] = trimmed.unknown_characters(texts, encoded)
            self._trimmed[key] = lengths, unknown
        return self._trimmed[key]


def _share_without(gone: np.ndarray, texts: Segments) -> float:
    """The share of texts that have no piece that is gone."""
    return float((texts.deepest(gone) == 0).mean())
