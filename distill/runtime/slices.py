"""A long text goes in; its slices come out, so that what is done to one at a time takes memory for
one alone: a list of a text's words takes ten times its memory, folding its case twelve times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SLICE = 100_000
"""Characters of a slice."""
_BLANK = re.compile("[ \n]")


def slices(text: str) -> Iterator[str]:
    """The text in slices of `SLICE` characters, the last one shorter."""
    return (text[start : start + SLICE] for start in range(0, len(text), SLICE))


def slices_of_words(
    text: str, is_glued: Callable[[str], bool] = lambda character: False
) -> Iterator[str]:
    """The text in slices of `SLICE` to twice as many characters that end before a space or newline,
    which is left out; only a word that is longer than a slice is cut. A space whose next character
    `is_glued` stays.
    """
    start = 0
    while len(text) - start > SLICE:
        end = after = start + SLICE
        for blank in _BLANK.finditer(text, start + SLICE, start + 2 * SLICE):
            if blank.group() == "\n" or not is_glued(text[blank.end() : blank.end() + 1]):
                end, after = blank.span()
                break
        else:
            if len(text) - start <= 2 * SLICE:
                break
        yield text[start:end]
        start = after
    yield text[start:]


def in_runs(
    items: Iterable[T],
    length: Callable[[T], int],
    *,
    characters: int,
    count: int | None = None,
) -> Iterator[list[T]]:
    """The items in runs, each of which ends when it has so many characters, or so many items."""
    run: list[T] = []
    size = 0
    for item in items:
        run.append(item)
        size += length(item)
        if size >= characters or len(run) == count:
            yield run
            run, size = [], 0
    if run:
        yield run
