from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from distill.runtime.batching import rows_of_like_length, split_rows


@given(lengths=st.lists(st.integers(1, 64), min_size=1, max_size=40), tokens=st.integers(1, 300))
def test_the_parts_of_a_batch_are_all_its_rows_and_fit_unless_one_row_alone_does_not(
    lengths: list[int], tokens: int
) -> None:
    rows = np.arange(len(lengths))
    parts = split_rows(rows, np.array(lengths), tokens)
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert all(
        len(part) == 1 or max(lengths[row] for row in part) * len(part) <= tokens for part in parts
    )


@given(lengths=st.lists(st.integers(1, 64), max_size=40), tokens=st.integers(1, 300))
def test_rows_of_like_length_are_all_rows_the_shortest_first(
    lengths: list[int], tokens: int
) -> None:
    runs = rows_of_like_length(lengths, tokens)
    rows = [row for run in runs for row in run]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths)
    assert all(len(run) == 1 or lengths[run[-1]] * len(run) <= tokens for run in runs)
