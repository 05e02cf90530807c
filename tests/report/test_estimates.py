from __future__ import annotations

from math import atanh, tanh

import pytest
from hypothesis import given, strategies as st

from distill.report.estimates import (
    CORRELATION,
    SHARE,
    Estimate,
    mean_estimate,
    paired_interval,
    ratio_interval,
    share_interval,
    span_of,
)


def test_without_a_span_it_is_students_interval() -> None:
    # t(0.975) with 2 degrees of freedom is 4.303.
    low, high = Estimate(value=2.0, error=0.5, freedom=2).interval()
    assert (low, high) == pytest.approx((2 - 4.3027 / 2, 2 + 4.3027 / 2), abs=1e-3)


def test_of_a_correlation_it_is_fishers() -> None:
    low, high = Estimate(value=0.6, error=0.05, freedom=1e9).interval(CORRELATION)
    half = 1.95996 * 0.05 / (1 - 0.6**2)
    assert (low, high) == pytest.approx((tanh(atanh(0.6) - half), tanh(atanh(0.6) + half)))


@given(st.floats(0, 1), st.floats(0, 0.5), st.floats(1, 1000))
def test_of_a_share_it_stays_between_0_and_1_and_holds_the_share(
    value: float, error: float, freedom: float
) -> None:
    low, high = Estimate(value=value, error=error, freedom=freedom).interval(SHARE)
    assert 0 <= low <= value <= high <= 1


def test_a_mean_has_satterthwaites_degrees_of_freedom() -> None:
    alike = [Estimate(value=0.5, error=0.1, freedom=4)] * 5
    mean = mean_estimate(alike)
    assert (mean.value, mean.freedom) == pytest.approx((0.5, 20))
    assert mean.error == pytest.approx(0.1 / 5**0.5)


def test_equivalent_is_only_what_lies_within_the_margin_on_both_sides() -> None:
    assert Estimate(value=0.005, error=0.005, freedom=100).is_within(0.02)
    assert not Estimate(value=-0.015, error=0.005, freedom=100).is_within(0.02)
    assert not Estimate(value=0.0, error=0.1, freedom=100).is_within(0.02)


def test_a_metric_of_somebody_elses_has_no_range() -> None:
    assert (span_of("accuracy"), span_of("mcc"), span_of("pieces")) == (SHARE, CORRELATION, None)


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_published_score_interval(
    hits: int, rows: int, low: float, high: float
) -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    assert share_interval(hits, rows) == pytest.approx((low, high), abs=5e-5)


def test_equal_rows_have_an_interval_of_a_ratio_without_width() -> None:
    assert ratio_interval([1, 1, 1], [4, 4, 4]) == pytest.approx((0.25, 0.25))


def test_a_ratio_of_rows_of_one_has_about_the_interval_of_a_share() -> None:
    low, high = ratio_interval([1.0] * 300 + [0.0] * 700, [1.0] * 1000)
    assert (low, high) == pytest.approx(share_interval(300, 1000), abs=1e-3)


@pytest.mark.parametrize("parts", [[0, 0, 0], [0, 2, 0]])
def test_a_ratio_that_one_row_decides_has_no_interval(parts: list[float]) -> None:
    assert ratio_interval(parts, [3, 3, 3]) == (None, None)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 5000))
def test_two_shares_that_change_places_change_the_sign_of_their_difference(
    first: int, second: int, both: int
) -> None:
    rows = first + second + both + 1
    low, high = paired_interval(first, second, rows)
    assert -1 <= low <= (first - second) / rows <= high <= 1
    assert paired_interval(second, first, rows) == pytest.approx((-high, -low))


def test_a_paired_difference_is_told_where_the_exact_test_tells_it() -> None:
    # McNemar's exact test: six of six rows on one side have p = 0.031, five of five p = 0.062.
    assert paired_interval(6, 0, 1000)[0] > 0
    assert paired_interval(5, 0, 1000)[0] < 0
