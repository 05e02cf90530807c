"""Which of the characters that occur in a text belong to its language's scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from distill.corpus.cleaning import INVISIBLE
from distill.vocabulary.families import ASCII

ANY_SCRIPT = frozenset({"Zyyy", "Zinh", "Zzzz"})
"""Common, inherited and unknown: digits, punctuation, signs, combining marks."""
_SHARE = 0.01
"""A script with at least this share of the text's letters is one of the language's: Japanese has
three.
"""


def scripts_of(code_points: np.ndarray) -> set[str]:
    """The scripts (ISO 15924 codes) of a text's language, from how often each code point occurs in
    it.
    """
    from fontTools import unicodedata

    letters: Counter[str] = Counter()
    for code_point in np.flatnonzero(code_points):
        if chr(code_point).isalpha():
            letters[unicodedata.script(chr(code_point))] += int(code_points[code_point])
    return {
        script for script, count in letters.items() if count >= _SHARE * letters.total()
    } - ANY_SCRIPT


def alphabet_of(characters: Iterable[str], scripts: Iterable[str]) -> set[str]:
    """Of the (normalised) characters of a text, those of its languages' scripts and of no script;
    and all of ASCII, and what cleaning took out of the text: soft hyphens and the like.
    """
    from fontTools import unicodedata

    scripts = {*scripts, *ANY_SCRIPT}
    return {
        *ASCII,
        *INVISIBLE,
        *(character for character in characters if unicodedata.script(character) in scripts),
    }
