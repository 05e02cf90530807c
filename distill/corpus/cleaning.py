"""What is done to a document's text before anything counts it: pure functions from string to
string.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from hashlib import blake2b

from distill.runtime.slices import slices

INVISIBLE = "\u00ad\u200b\u2060\ufeff\ufffd"
"""What cleaning takes out of text that real text has all the same, and a teacher may spell."""
# Besides them control characters but for tab and newline, private use and lone surrogates. The
# zero-width joiners stay: Persian and Hindi need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ud800-\udfff" + INVISIBLE + "]"
)
_BLANKS = (
    "\t\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Every blank but the space and the newline."""
_SURROGATES = re.compile("[\ud800-\udfff]")
# The closing quote or bracket belongs to the sentence before; scripts without blanks need none
# after their full stop.
_SENTENCE_END = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’»)\]]))\s+(?=[\"'“”‘«»(\[–—-]?\s?[^\W_])"
    r"|(?:(?<=[。！？؟।॥])|(?<=[。！？؟।॥][」』”’»）)\]]))(?![。！？؟।॥…」』”’»）)\]])\s*"
)
_SHORTEST_SENTENCE = 2


def clean_text(text: str, *, min_letters: float = 0.0) -> str:
    """The text without control characters, runs of blanks, repeated lines, and lines that are
    mostly not letters.

    A line stays if at least `min_letters` (a fraction) of its visible characters are letters or
    their marks, and if it is not the line before over again, as loops of speech recognition and
    page furniture are.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    if _UNWANTED.search(text):
        text = "".join(_UNWANTED.sub("", part) for part in slices(text))
    text = _with_single_blanks(text)
    kept: list[str] = []
    for line in text.split("\n"):
        line = line.strip()
        if line and letter_share(line) >= min_letters and (not kept or line != kept[-1]):
            kept.append(line)
    return "\n".join(kept)


def encodable(text: str) -> str:
    """The text without lone surrogates, which are no characters and which UTF-8 cannot hold."""
    return _SURROGATES.sub("", text) if _SURROGATES.search(text) else text


def letter_share(text: str) -> float:
    """Letters and their combining marks as a fraction of the characters that are not blank; 0 for
    blank text.
    """
    # Few of a line's characters are distinct, and fewer of those are no letters.
    others = set(text).difference(_FIRST_LETTERS)
    counts = {character: text.count(character) for character in others if not _is_letter(character)}
    letters = len(text) - sum(counts.values())
    blanks = sum(count for character, count in counts.items() if character.isspace())
    return letters / (len(text) - blanks) if letters else 0.0


@cache
def _is_letter(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character)[0] == "M"


_FIRST_LETTERS = frozenset(filter(_is_letter, map(chr, range(0x3000))))
"""The letters of all alphabets and most syllabaries: most characters of most text."""


def count_words(text: str) -> int:
    """Words of clean text between its blanks: a list of them would take ten times its memory."""
    return text.count(" ") + text.count("\n") + 1 if text else 0


def content_hash(text: str) -> int:
    """64 bits that are equal for texts that differ in case and blanks only."""
    digest = blake2b(digest_size=8)
    for part in slices(_with_single_blanks(text.replace("\n", " ")).strip(" ")):
        digest.update(part.casefold().encode())
    return int.from_bytes(digest.digest())


def _with_single_blanks(text: str) -> str:
    """The text with one space for each run of blanks; newlines stay."""
    for blank in _BLANKS:
        text = text.replace(blank, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def split_sentences(text: str, *, sentence_a_line: bool = False) -> list[str]:
    """The sentences of a text: its lines, each split after closing punctuation unless a line is
    known to be a sentence.

    A rule, not a parser: an abbreviation may split one sentence in two, which does no harm where
    sentences are only counted and compared.
    """
    lines = [line.strip() for line in text.split("\n")]
    if sentence_a_line:
        return [line for line in lines if line]
    sentences = (sentence.strip() for line in lines for sentence in _SENTENCE_END.split(line))
    return [sentence for sentence in sentences if len(sentence) >= _SHORTEST_SENTENCE]
