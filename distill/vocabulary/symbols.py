"""Pieces that other texts need than those that a vocabulary is chosen on: emoji, punctuation,
currency and mathematical signs, and the Latin letters of neighbouring languages.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Collection
from functools import cache

from distill.vocabulary.alphabet import ANY_SCRIPT
from distill.vocabulary.families import Vocabulary

LATIN = "Latn"
_JOINERS = frozenset("\u200d\ufe0e\ufe0f\u20e3")
"""What makes one emoji of several characters, or chooses its picture."""
_LATIN_LETTERS = (range(0xC0, 0x250), range(0x1E00, 0x1F00))
"""Latin-1 to Extended-B and Extended Additional: what languages are written in; phonetic alphabets
lie elsewhere.
"""


def symbol_pieces(vocabulary: Vocabulary, scripts: Collection[str]) -> set[int]:
    """Ids of the pieces that are nothing but signs, and of single Latin letters where Latin is one
    of the language's `scripts` (ISO 15924).
    """
    wanted = signs() | latin_letters() if LATIN in scripts else signs()
    of_signs = {
        i for piece, i in vocabulary.ids.items() if piece and all(c in signs() for c in piece)
    }
    return of_signs | vocabulary.alphabet(wanted)


@cache
def signs() -> frozenset[str]:
    """Every symbol and punctuation mark that belongs to no script, the word-start mark among them,
    and what joins emoji.
    """
    from fontTools import unicodedata as scripts

    marks = (
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character)[0] in "SP"
    )
    return _JOINERS | {mark for mark in marks if scripts.script(mark) in ANY_SCRIPT}


@cache
def latin_letters() -> frozenset[str]:
    """The letters that languages in Latin script are written in, but for ASCII's."""
    letters = (chr(point) for points in _LATIN_LETTERS for point in points)
    return frozenset(letter for letter in letters if letter.isalpha())
