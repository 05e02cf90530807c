from __future__ import annotations

import pytest

from distill.report.formats import format_bytes, format_count, format_ms


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (512, "512"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (28_410, "28.4k"),
        (999_949, "999.9k"),
        (999_960, "1.0M"),
        (21_940_608, "21.9M"),
        (999_960_000, "1.0B"),
        (1_500_000_000, "1.5B"),
        (83.3, "83"),
        (0.4, "0.4"),
        (7.25, "7.2"),
    ],
)
def test_counts_are_short(value: float | None, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (9_960, "10 kB"),
        (88_123_456, "88 MB"),
        (999_600, "1.0 MB"),
        (999_600_000, "1.0 GB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_sizes_are_short_and_decimal(value: float | None, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0001, "0.000"),
        (0.4166, "0.417"),
        (0.9996, "1.00"),
        (4.166, "4.17"),
        (9.996, "10.0"),
        (41.66, "41.7"),
        (99.96, "100"),
        (416.6, "417"),
        (4166.6, "4,167"),
    ],
)
def test_milliseconds_have_three_figures(value: float | None, text: str) -> None:
    assert format_ms(value) == text
