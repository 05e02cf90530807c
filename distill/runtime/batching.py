"""Rows of text in batches of so many tokens when padded: what every loop over a model shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def split_rows(rows: np.ndarray, lengths: np.ndarray, tokens: int | None) -> list[np.ndarray]:
    """The rows, in the same order, in runs of at most `tokens` tokens when padded (None: all at
    once).

    `lengths` are those of all rows, by number. A row that is longer alone is a run of its own.
    """
    if tokens is None:
        return [rows]
    runs: list[np.ndarray] = []
    start = longest = 0
    sizes: list[int] = lengths[rows].tolist()
    for at, size in enumerate(sizes):
        if at > start and max(longest, size) * (at + 1 - start) > tokens:
            runs.append(rows[start:at])
            start, longest = at, 0
        longest = max(longest, size)
    return [*runs, rows[start:]] if sizes else []


def rows_of_like_length(lengths: Sequence[int] | np.ndarray, tokens: int) -> list[np.ndarray]:
    """Every row's number, the shortest first, in runs of at most `tokens` tokens with hardly any
    padding.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    return split_rows(np.argsort(sizes, kind="stable"), sizes, tokens)
