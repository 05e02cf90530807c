"""Which texts also stand in documents: whole, or so many words in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from distill.corpus.words import find_words
from distill.runtime.slices import slices_of_words

IN_A_ROW = 12
"""Words in a row that two texts hardly share by chance."""
SHORTEST = 4
"""Texts of fewer words stand anywhere, and are not looked for."""
_BATCH_WORDS = 500_000
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_BITS = 24
_LAST = np.uint64((1 << _BITS) - 1)
"""The last bits of a hash, by which most words in a row are told to be in no text."""
_BETWEEN = "\0"
"""Stands between documents, and in no text."""


class Passages:
    """Texts to be found in documents, as hashes of their words in a row."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._hashes = [_hashes_of(text) for text in texts]
        sizes = np.array([len(text_hashes) for text_hashes in self._hashes], dtype=np.int64)
        self._tables = {
            size: self._table(np.flatnonzero(sizes == size), size)
            for size in range(SHORTEST, IN_A_ROW)
        }
        self._tables[IN_A_ROW] = self._table(np.flatnonzero(sizes >= IN_A_ROW), IN_A_ROW)
        self._ends = np.zeros(1 << _BITS, dtype=bool)
        for hashes, _, _ in self._tables.values():
            self._ends[hashes & _LAST] = True

    def find(self, documents: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of each text whether it stands in a document whole, and whether 12 words in a row do; of
        one that is shorter, whether it does whole.
        """
        contained, shared = (np.zeros(len(self._hashes), dtype=bool) for _ in range(2))
        for words in _batches(documents):
            for start, owner, offset, size in self._hits(words):
                shared[owner] = True
                if offset == 0 and not contained[owner]:
                    hashes = self._hashes[owner]
                    is_short = size < IN_A_ROW
                    contained[owner] = is_short or np.array_equal(
                        words[start : start + len(hashes)], hashes
                    )
        return contained, shared

    def share_with(self, document: str) -> bool:
        """Whether any of the texts shares so much with a document."""
        return next(self._hits(_hashes_of(document)), None) is not None

    def _table(self, owners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes of so many words in a row in order, each with its text and its place there."""
        rows = [_in_a_row(self._hashes[owner], size) for owner in owners]
        counts = [len(row) for row in rows]
        hashes = np.concatenate(rows) if rows else np.zeros(0, dtype=np.uint64)
        of = np.repeat(owners, counts)
        at = np.concatenate([np.arange(count) for count in counts]) if rows else of
        order = np.argsort(hashes, kind="stable")
        return hashes[order], of[order], at[order]

    def _hits(self, words: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
        """Place among the words, text, place in the text, and size of what is the same."""
        for size, (hashes, of, at) in self._tables.items():
            if not len(hashes) or len(words) < size:
                continue
            rows = _in_a_row(words, size)
            places = np.flatnonzero(self._ends[rows & _LAST])  # most rows fail here
            rows = rows[places]
            first = np.searchsorted(hashes, rows)
            last = np.searchsorted(hashes, rows, side="right")
            for hit in np.flatnonzero(last > first):
                for entry in range(first[hit], last[hit]):
                    yield int(places[hit]), int(of[entry]), int(at[entry]), size


def _hashes_of(text: str) -> np.ndarray:
    """The hashes of a text's words in order."""
    return np.concatenate([_hashes(find_words(part.casefold())) for part in slices_of_words(text)])


def _hashes(words: Sequence[str]) -> np.ndarray:
    return np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64)


def _in_a_row(words: np.ndarray, size: int) -> np.ndarray:
    """A hash of every `size` words in a row."""
    count = len(words) - size + 1
    rows = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        rows = rows * _PRIME + words[offset : offset + count]
    return rows


def _batches(documents: Iterable[str]) -> Iterator[np.ndarray]:
    """The words of many documents at a time, as hashes."""
    between = _hashes([_BETWEEN])
    pending, size = [between], 0
    for document in documents:
        words = _hashes_of(document)
        pending += [words, between]
        size += len(words)
        if size >= _BATCH_WORDS:
            yield np.concatenate(pending)
            pending, size = [between], 0
    yield np.concatenate(pending)
