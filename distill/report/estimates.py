"""Estimates with their errors: standard errors and degrees of freedom, or counts, go in; intervals,
means over tasks and tests of equivalence come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

LEVEL = 0.95
"""Of the intervals that are shown."""
EQUIVALENCE_LEVEL = 0.90
"""Of the interval that has to lie within the margin: two one-sided tests at 5% (Schuirmann
1987).
"""
SHARE = (0.0, 1.0)
CORRELATION = (-1.0, 1.0)
_CORRELATIONS = ("mcc", "alpha", "pearson", "spearman")
_SHARES = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "entity_f1",
    "mrr@",
    "recall@",
    "ndcg@",
    "exact_match",
    "f1",
)
_EDGE = 0.7
"""So many standard errors from its end a score counts as no further: there a logit has no end. A
share of 1 of N rows, whose error is about 0.7/N, then stands for half a row less.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    freedom: float

    def interval(
        self, span: tuple[float, float] | None = None, level: float = LEVEL
    ) -> tuple[float, float]:
        """Student's interval; with `span` on the logit of the value's place within it, so that it
        stays inside. Of a correlation that is Fisher's z.
        """
        half = _quantile(level, self.freedom) * self.error
        if span is None or not half:
            return self.value - half, self.value + half
        low, width = span[0], span[1] - span[0]
        share, error = (self.value - low) / width, self.error / width
        share = min(max(share, min(_EDGE * error, 0.5)), max(1 - _EDGE * error, 0.5))
        centre, reach = log(share / (1 - share)), half / width / (share * (1 - share))
        ends = [low + width * _logistic(centre + way * reach) for way in (-1, 1)]
        return min(ends[0], self.value), max(ends[1], self.value)

    def is_within(self, margin: float) -> bool:
        """Whether it is equivalent to zero: its 90% interval lies within the margin."""
        low, high = self.interval(level=EQUIVALENCE_LEVEL)
        return -margin < low and high < margin


def span_of(metric: str) -> tuple[float, float] | None:
    """The values that a metric can have; None of one that is not known here."""
    if metric in _CORRELATIONS:
        return CORRELATION
    return SHARE if metric.startswith(_SHARES) else None


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates, with Satterthwaite's (1946) degrees of freedom."""
    count = len(estimates)
    squares = [estimate.error**2 for estimate in estimates]
    spread = sum(squares)
    parts = sum(
        square**2 / estimate.freedom for square, estimate in zip(squares, estimates, strict=True)
    )
    return Estimate(
        value=sum(estimate.value for estimate in estimates) / count,
        error=sqrt(spread) / count,
        freedom=spread**2 / parts if parts else min(estimate.freedom for estimate in estimates),
    )


def share_interval(hits: int, rows: int) -> tuple[float, float]:
    """The interval of a share of independent rows (Wilson 1927)."""
    square = _normal_quantile(LEVEL) ** 2
    centre = (hits + square / 2) / (rows + square)
    reach = sqrt(square * (hits * (rows - hits) / rows + square / 4)) / (rows + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def ratio_interval(
    parts: Sequence[float], totals: Sequence[float]
) -> tuple[float, float] | tuple[None, None]:
    """The interval of sum(parts) / sum(totals) over independent rows, each a part of its total, by
    the linearised variance of a ratio (Cochran 1977, section 6.4).

    None of fewer than two rows with a part: their spread says nothing.
    """
    rows, share = len(totals), sum(parts) / max(1, sum(totals))
    if rows < 2 or sum(1 for part in parts if part) < 2:
        return None, None
    spread = sum((part - share * total) ** 2 for part, total in zip(parts, totals, strict=True)) / (
        rows - 1
    )
    error = sqrt(spread * rows) / sum(totals)
    return Estimate(value=share, error=error, freedom=rows - 1).interval(SHARE)


def paired_interval(only_first: int, only_second: int, rows: int) -> tuple[float, float]:
    """The interval of how much larger the first of two shares of the same rows is, from the rows
    that count for one of the two alone (Bonett and Price 2012).
    """
    first, second = (only_first + 1) / (rows + 2), (only_second + 1) / (rows + 2)
    difference = first - second
    reach = _normal_quantile(LEVEL) * sqrt((first + second - difference**2) / (rows + 2))
    return max(-1.0, difference - reach), min(1.0, difference + reach)


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _quantile(level: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > 0 else exp(value) / (1 + exp(value))
