from __future__ import annotations

from math import atanh, tanh

import pytest
from hypothesis import given, strategies as st

from distill.report.estimates import CORRELATION, SHARE, Estimate, mean_estimate, span_of


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
