"""WordPiece tokenizers: mBERT, LaBSE, DistilmBERT (Wu et al. 2016; Devlin et al. 2019).

From the start of a word the longest piece that fits is taken, again and again. The longest that
fitted before is still the longest if it was kept, so a word whose pieces are all kept is segmented
as before. A word with a stretch that no piece fits is one unknown token; keeping both forms of
every character of what is kept leaves no other reason for that than a character that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from distill.vocabulary.families.fast import FastVocabulary
from distill.vocabulary.families.vocabulary import pairs
from distill.vocabulary.units import Definition


class WordPiece(FastVocabulary):
    """The longest piece that fits, from left to right."""

    family = "WordPiece"

    @property
    def _prefix(self) -> str:
        return str(self.model["continuing_subword_prefix"])

    def alphabet(self, characters: Iterable[str]) -> set[int]:
        """Both forms of a character: at a word's start and within it."""
        forms = (form for character in characters for form in (character, self._prefix + character))
        return {self.ids[form] for form in forms if form in self.ids}

    def needs(self, pieces: Iterable[int]) -> np.ndarray:
        """Each longer piece, and both forms of its characters."""
        spelling = {i: piece for piece, i in self.ids.items()}
        special = self.special
        needed: list[tuple[int, int]] = []
        for i in sorted(set(pieces) - special):
            bare = spelling[i].removeprefix(self._prefix)
            if len(bare) > 1:
                needed += [(i, form) for form in sorted(self.alphabet(set(bare)))]
        return pairs(needed)

    def trim_model(self, new_ids: dict[int, int]) -> Definition:
        """The pieces with their new ids."""
        vocabulary = self.model["vocab"]
        return {
            **self.model,
            "vocab": {piece: new_ids[old] for piece, old in vocabulary.items() if old in new_ids},
        }
