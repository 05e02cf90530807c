from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from distill.evaluation.metrics import reciprocal_ranks
from distill.evaluation.scores import (
    bootstrap_interval,
    query_score,
    retention_of,
    seed_score,
    share_score,
    student_interval,
)


@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1)), st.integers(0, 2**32 - 1))
def test_the_interval_lies_within_the_values_and_its_ends_are_in_order(
    values: np.ndarray, seed: int
) -> None:
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
    assert (
        bootstrap_interval(values, 7)
        == bootstrap_interval(values, 7)
        != bootstrap_interval(values, 8)
    )


def test_a_wider_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(0).random(100)
    (low, high), (lower, higher) = (
        bootstrap_interval(values, 0, level=0.8),
        bootstrap_interval(values, 0, level=0.99),
    )
    assert lower < low < high < higher


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    draw = np.random.default_rng(0)
    truth = np.mean([1 / rank if rank <= 10 else 0 for rank in range(1, 21)])
    repetitions = 200
    covered = 0
    for seed in range(repetitions):
        low, high = bootstrap_interval(reciprocal_ranks(draw.integers(1, 21, size=120)), seed)
        covered += low <= truth <= high
    # The percentile interval falls a little short of its level; three standard errors of a share of
    # 0.94 are 0.05.
    assert 0.89 <= covered / repetitions <= 0.99


def test_students_interval_is_that_of_the_tables() -> None:
    # t(0.975) with 2 degrees of freedom is 4.303; the deviation of 1, 2, 3 is 1.
    low, high = student_interval([1.0, 2.0, 3.0]) or (0.0, 0.0)
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


def test_one_seed_tells_no_interval() -> None:
    assert student_interval([0.5]) is None
    score = seed_score("student", "task", "accuracy", [0.5], [0.8], 1e-4)
    assert (score.low, score.high, score.difference_low, score.reason) == (
        None,
        None,
        None,
        "one seed tells no spread",
    )
    assert (score.mean, score.retention) == (0.5, 0.625)
    assert score.difference == pytest.approx(-0.3)


def test_the_students_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    draw = np.random.default_rng(0)
    covered = [
        low <= 0.5 <= high
        for low, high in (student_interval(draw.normal(0.5, 0.1, 3)) or (0, 0) for _ in range(1000))
    ]
    assert 0.93 <= np.mean(covered) <= 0.97  # three standard errors are 0.02


def test_the_difference_is_of_pairs_so_what_both_share_does_not_widen_it() -> None:
    teacher = [0.5, 0.7, 0.9]
    score = seed_score(
        "student", "task", "accuracy", [value - 0.1 for value in teacher], teacher, 1e-4
    )
    assert score.low is not None and score.high is not None and score.high - score.low > 0.5
    assert (score.difference, score.difference_low, score.difference_high) == pytest.approx(
        (-0.1, -0.1, -0.1)
    )


def test_a_difference_over_queries_is_of_the_same_draws() -> None:
    teacher = np.random.default_rng(0).random(50)
    score = query_score("student", "faq", "mrr@10", teacher - 0.25, teacher, seed=0)
    assert (score.difference, score.difference_low, score.difference_high) == pytest.approx(
        (-0.25, -0.25, -0.25)
    )
    assert score.low is not None and score.high is not None and score.high - score.low > 0.05


def test_a_share_counts_pieces_not_rows() -> None:
    score = share_score("teacher", "mlm", "accuracy", np.array([[1, 1], [0, 9]]), None, seed=0)
    assert score.mean == pytest.approx(0.1)
    assert (score.low, score.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        (None, "the teacher was not evaluated"),
        (0.0, "the teacher scores 0"),
        (-0.1, "the teacher scores below 0"),
    ],
)
def test_there_is_no_retention_of_nothing(teacher: float | None, reason: str) -> None:
    assert retention_of(0.5, teacher) == (None, reason)


def test_retention_is_null_with_a_reason_where_the_teacher_scores_nothing() -> None:
    score = query_score("student", "faq", "mrr@10", np.ones(3), np.zeros(3), seed=0)
    assert (score.retention, score.reason) == (None, "the teacher scores 0")
