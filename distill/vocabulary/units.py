"""How text falls apart into strings that a tokenizer segments on their own, wherever they stand.

Where words are such units, each distinct one is segmented once and weighted by its frequency,
which is what makes counting fast. Whether they are is read off the tokenizer's definition; what
cannot be read off is segmented line by line.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from distill.runtime.slices import slices_of_words

Definition = dict[str, Any]
"""A tokenizer.json as it is read, or a part of it."""


@dataclass(frozen=True, slots=True)
class Units:
    """What can be segmented on its own: one of the three kinds below."""

    kind: str
    joints: tuple[str, ...] = ()
    """A line that holds one of these is one unit: a piece of the vocabulary runs over its blank."""

    WORDS: ClassVar[Units]
    """What stands between blanks; blanks mean nothing."""
    SPACED_WORDS: ClassVar[Units]
    """Words, each with the blank before it."""
    LINES: ClassVar[Units]
    """Whole lines."""

    @property
    def spaced(self) -> bool:
        """Whether a word within a line is segmented together with the blank before it."""
        return self.kind == Units.SPACED_WORDS.kind

    def within(self, word: str) -> str:
        """The word as it is segmented within a line."""
        return f" {word}" if self.spaced else word

    def split(self, text: str) -> list[str]:
        """The units of a text, with repetitions; empty ones mean nothing."""
        return [*chain.from_iterable(self.parts(text))]

    def parts(self, text: str) -> Iterator[list[str]]:
        """The units of a text of any length, some at a time."""
        if self == Units.WORDS:
            return map(_words, slices_of_words(text, extends))
        if self == Units.LINES:
            return iter([text.split("\n")])
        return self._spaced_words(text)

    def _spaced_words(self, text: str) -> Iterator[list[str]]:
        units: list[str] = []
        for line in text.split("\n"):
            if not self._falls_apart(line):
                units.append(line)
                continue
            for number, cut in enumerate(slices_of_words(line)):
                first, *rest = cut.split(" ")
                units.append(self.within(first) if number else first)
                units += [" " + word for word in rest]
                if len(units) > _SPACED_WORDS:
                    yield units
                    units = []
        yield units

    def _falls_apart(self, line: str) -> bool:
        # Printable: no white space but plain blanks. A line with more than that is one unit.
        plain = (
            line.isprintable()
            and "  " not in line
            and not line.startswith(" ")
            and not line.endswith(" ")
        )
        return plain and not any(joint in line for joint in self.joints)


Units.WORDS, Units.SPACED_WORDS, Units.LINES = Units("words"), Units("spaced words"), Units("lines")
_FEW_JOINTS = 50
_SPACED_WORDS = 100_000
"""Spaced words at a time."""
_FIRST_MARK = 0x300
"""No mark that extends a grapheme cluster comes before this code point."""

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_BLANK_FIRST = {
    # None of these takes a blank after a visible character into one match, and all look no further
    # ahead than a blank.
    # GPT-4, Llama 3, EuroBERT
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}{_TAIL}",
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{_TAIL}",  # Qwen 2
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
}
_INNER_SPACE = re.compile("[^▁]▁")


def units_of(definition: Definition, pieces: Collection[str]) -> Units:
    """The smallest units that a parsed `tokenizer.json` is sure to segment on their own."""
    steps = _flat(definition.get("pre_tokenizer"), "pretokenizers")
    normalizers = _flat(definition.get("normalizer"), "normalizers")
    kinds = [step["type"] for step in steps]
    if any(kind in ("WhitespaceSplit", "Whitespace", "BertPreTokenizer") for kind in kinds):
        return Units.WORDS
    blanks_kept = all(
        step["type"] in ("NFC", "NFKC", "Replace", "Precompiled", "Lowercase")
        for step in normalizers
    )
    blanks_kept = blanks_kept and all(
        _replaces_blanks(step) for step in normalizers if step["type"] == "Replace"
    )
    if not blanks_kept:
        return Units.LINES
    uncut = all(step["type"] == "ByteLevel" and not step.get("use_regex", True) for step in steps)
    if steps and not uncut and all(_starts_at_blanks(step) for step in steps):
        return Units.SPACED_WORDS
    # Without a pre-tokenizer (mmBERT's splits at blanks, of which its normaliser has left none),
    # words still fall apart where no piece runs over the mark between them.
    by_blanks = all(
        step["type"] == "Split" and step["pattern"] == {"String": " "} for step in steps
    )
    marked = any(step["type"] == "Replace" and step["content"] == "▁" for step in normalizers)
    joints = (
        tuple(piece.replace("▁", " ") for piece in pieces if _INNER_SPACE.search(piece))
        if by_blanks and marked
        else ()
    )
    if by_blanks and marked and len(joints) <= _FEW_JOINTS:
        return Units(Units.SPACED_WORDS.kind, tuple(sorted(joints)))
    return Units.LINES


def extends(word: str) -> bool:
    """Whether the word begins with a mark that a normaliser reads together with a blank before it.

    SentencePiece's normaliser looks up whole grapheme clusters (Unicode Annex 29), and a blank with
    marks after it is one.
    """
    return word[:1] in _marks()[0]


def _words(text: str) -> list[str]:
    # Not at every white space: a normaliser may delete some (XLM-R's deletes U+000B and U+001C) and
    # so join words.
    return _glued(text) if _has_marks(text) else text.replace("\n", " ").split(" ")


def _glued(text: str) -> list[str]:
    """The words of each line; one that begins with a mark stays with the word and the blank before
    it.
    """
    units: list[str] = []
    for line in text.split("\n"):
        first, *rest = line.split(" ")
        units.append(first)
        for word in rest:
            if word and extends(word):
                units[-1] += " " + word
            else:
                units.append(word)
    return units


def _has_marks(text: str) -> bool:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return bool(
        _marks()[1][points[points >= _FIRST_MARK]].any()
    )  # a comparison is cheaper than a look-up


@cache
def _marks() -> tuple[frozenset[str], np.ndarray]:
    """The marks that extend a grapheme cluster, as characters and as a table over code points."""
    marks = [
        point
        for point in range(sys.maxunicode + 1)
        if unicodedata.category(chr(point)) in ("Mn", "Mc", "Me")
    ]
    marks += [0x200C, 0x200D]
    table = np.zeros(sys.maxunicode + 1, dtype=bool)
    table[marks] = True
    return frozenset(map(chr, marks)), table


def _starts_at_blanks(step: Definition) -> bool:
    """Whether the pre-tokenizer step cuts before each single blank between two words."""
    if step["type"] == "Metaspace":
        return bool(step.get("split", True)) and step["prepend_scheme"] != "never"
    if step["type"] == "ByteLevel":
        return True  # it cuts by GPT-2's pattern, or leaves alone what another step has cut
    known = step["type"] == "Split" and step["pattern"].get("Regex") in _BLANK_FIRST
    return known and step["behavior"] == "Isolated" and not step["invert"]


def _replaces_blanks(step: Definition) -> bool:
    return bool(step["pattern"] == {"String": " "} and step["content"] == "▁")


def _flat(step: Definition | None, inner: str) -> list[Definition]:
    if step is None:
        return []
    return [leaf for part in step.get(inner, []) for leaf in _flat(part, inner)] or [step]
