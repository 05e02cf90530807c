"""Unigram tokenizers: XLM-R, XLM-V, mDeBERTa, multilingual E5, BGE-M3 (Kudo 2018, section 3).

Scores are left alone: a text whose pieces are all kept then keeps its best segmentation, because
every rival it had before is at most still there. The unknown score follows the lowest score kept,
which is harmless as long as the characters of every kept piece are kept: a character without a
piece has no rival.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from distill.vocabulary.families.fast import FastVocabulary
from distill.vocabulary.families.vocabulary import pairs
from distill.vocabulary.units import Definition

WORD_START = "▁"


class Unigram(FastVocabulary):
    """Every segmentation has a score, and the best one wins."""

    family = "Unigram"

    @property
    def unknown(self) -> int | None:
        """Id of the unknown piece."""
        return self.model["unk_id"]  # type: ignore[no-any-return]

    @property
    def special(self) -> set[int]:
        """The word start too: every word begins with it."""
        return super().special | self.alphabet([WORD_START])

    def alphabet(self, characters: Iterable[str]) -> set[int]:
        """Ids of the one-character pieces."""
        return {self.ids[character] for character in characters if character in self.ids}

    def needs(self, pieces: Iterable[int]) -> np.ndarray:
        """Each longer piece, and the one-character pieces of its characters."""
        spelling, wanted = self.model["vocab"], sorted(set(pieces))
        return pairs(
            (i, self.ids[character])
            for i in wanted
            if i < len(spelling) and len(spelling[i][0]) > 1
            for character in sorted(set(spelling[i][0]))
            if character in self.ids
        )

    def trim_model(self, new_ids: dict[int, int]) -> Definition:
        """Pieces are numbered by their place in the list; the unknown's place is renumbered."""
        # Added tokens that are no pieces of the model have the ids after its pieces; they keep that
        # place.
        kept = [
            self.model["vocab"][old] for old in sorted(new_ids) if old < len(self.model["vocab"])
        ]
        unknown = None if self.unknown is None else new_ids[self.unknown]
        return {**self.model, "unk_id": unknown, "vocab": kept}
