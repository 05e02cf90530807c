from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from distill.distillation.sharing import own_rows, split_rows


@given(lengths=st.lists(st.integers(1, 64), min_size=1, max_size=40), tokens=st.integers(1, 300))
def test_the_parts_of_a_batch_are_all_its_rows_and_fit_unless_one_row_alone_does_not(lengths: list[int], tokens: int) -> None:
    rows = np.arange(len(lengths))
    parts = split_rows(rows, np.array(lengths), tokens)
    assert np.concatenate(parts).tolist() == rows.tolist()
    assert all(len(part) == 1 or max(lengths[row] for row in part) * len(part) <= tokens for part in parts)


@given(count=st.integers(0, 100), processes=st.integers(1, 9))
def test_every_row_is_somebodys_and_nobody_has_two_more_than_another(count: int, processes: int) -> None:
    counts = own_rows(count, processes)
    assert (sum(counts), len(counts)) == (count, processes)
    assert max(counts) - min(counts) <= 1
