from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from distill.evaluation.metrics import reciprocal_ranks
from distill.evaluation.scores import bootstrap_interval


@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1)), st.integers(0, 2**32 - 1))
def test_the_interval_lies_within_the_values_and_its_ends_are_in_order(values: np.ndarray, seed: int) -> None:
    low, high = bootstrap_interval(values, seed)
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_contains_the_mean(seed: int) -> None:
    values = reciprocal_ranks(np.random.default_rng(seed).integers(1, 30, size=200))
    low, high = bootstrap_interval(values, seed)
    assert low < values.mean() < high


def test_the_interval_of_equal_values_is_their_value() -> None:
    assert bootstrap_interval(np.ones(10), 0) == (1.0, 1.0)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).random(100)
    assert bootstrap_interval(values, 7) == bootstrap_interval(values, 7) != bootstrap_interval(values, 8)


def test_a_wider_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(0).random(100)
    (low, high), (lower, higher) = bootstrap_interval(values, 0, level=0.8), bootstrap_interval(values, 0, level=0.99)
    assert lower < low < high < higher


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    draw = np.random.default_rng(0)
    truth = np.mean([1 / rank if rank <= 10 else 0 for rank in range(1, 21)])
    repetitions = 200
    covered = 0
    for seed in range(repetitions):
        low, high = bootstrap_interval(reciprocal_ranks(draw.integers(1, 21, size=120)), seed)
        covered += low <= truth <= high
    # The percentile interval falls a little short of its level; three standard errors of a share of 0.94 are 0.05.
    assert 0.89 <= covered / repetitions <= 0.99
