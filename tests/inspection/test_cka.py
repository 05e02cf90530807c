from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.inspection.cka import cka_map

SEEDS = st.integers(0, 2**32 - 1)


def rows(seed: int, count: int = 60, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


@given(seed=SEEDS, scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_a_layer_turned_scaled_and_moved_is_the_same_layer(
    seed: int, scale: float, shift: float
) -> None:
    one = rows(seed)
    turn = np.linalg.qr(rows(seed + 1, 8, 8))[0]
    found = cka_map(one[None], (scale * one @ turn + shift * scale)[None])
    assert found == pytest.approx(np.ones((1, 1)), abs=1e-6)


@given(seed=SEEDS)
def test_it_is_symmetric_and_at_most_one(seed: int) -> None:
    one, other = np.stack([rows(seed), rows(seed) ** 3]), np.stack([rows(seed + 1)])
    found = cka_map(one, other)
    assert found == pytest.approx(cka_map(other, one).T)
    assert (found <= 1 + 1e-9).all()


def test_unrelated_layers_are_unlike_even_where_dimensions_outnumber_rows() -> None:
    found = [
        cka_map(rows(seed, 40, 300)[None], rows(1000 + seed, 40, 300)[None])[0, 0]
        for seed in range(20)
    ]
    assert abs(np.mean(found)) < 0.05


def test_what_half_of_the_dimensions_share_lies_between() -> None:
    shared = rows(0, 400, 8)
    one, other = np.hstack([shared, rows(1, 400, 8)]), np.hstack([shared, rows(2, 400, 8)])
    assert cka_map(one[None], other[None])[0, 0] == pytest.approx(0.5, abs=0.05)


def test_widths_may_differ() -> None:
    one = rows(0)
    assert cka_map(one[None], np.hstack([one, np.zeros((60, 4))])[None])[0, 0] == pytest.approx(1)


def test_a_layer_that_says_the_same_of_every_text_is_like_none() -> None:
    assert cka_map(np.ones((1, 60, 8)), rows(0)[None])[0, 0] == 0
