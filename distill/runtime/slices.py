"""A long text goes in; its slices come out, so that what is done to one at a time takes memory for
one alone: a list of a text's words takes ten times its memory, folding its case twelve times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

SLICE = 1_000_000
"""Characters of a slice, unless it must be longer."""


def slices(text: str) -> Iterator[str]:
    """The text in slices of `SLICE` characters, the last one shorter."""
    return (text[start : start + SLICE] for start in range(0, len(text), SLICE))


def slices_of_words(
    text: str, is_glued: Callable[[str], bool] = lambda character: False
) -> Iterator[str]:
    """The text in slices of `SLICE` characters or more that end before a space, which is left out:
    no word is cut. A space whose next character `is_glued` stays.
    """
    start = 0
    while len(text) - start > SLICE:
        end = text.find(" ", start + SLICE)
        while end >= 0 and is_glued(text[end + 1 : end + 2]):
            end = text.find(" ", end + 1)
        if end < 0:
            break
        yield text[start:end]
        start = end + 1
    yield text[start:]
