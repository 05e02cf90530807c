from __future__ import annotations

from hypothesis import given, strategies as st

from distill.training.sharing import own_rows


@given(count=st.integers(0, 100), processes=st.integers(1, 9))
def test_every_row_is_somebodys_and_nobody_has_two_more_than_another(
    count: int, processes: int
) -> None:
    counts = own_rows(count, processes)
    assert (sum(counts), len(counts)) == (count, processes)
    assert max(counts) - min(counts) <= 1
