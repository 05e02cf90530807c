"""Figures as a person says them: numbers go in; short text comes out, a dash for what is not
measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "mcc": "MCC",
    "entity_f1": "entity F1",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mrr@10": "MRR@10",
    "ndcg@10": "nDCG@10",
    "exact_match": "exact match",
}
"""Metrics as their field writes them, where that is not their name here."""


def format_count(value: float | None) -> str:
    """A count: 512, 28.4k, 21.9M."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= max(9999.5, 0.99995 * factor):  # what would be rounded to 1000.0k is 1.0M
            return f"{value / factor:.1f}{unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def format_bytes(value: float | None) -> str:
    """A size in decimal units: 88 MB."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= 0.9995 * factor:
            return (
                f"{value / factor:.1f} {unit}"
                if value < 9.95 * factor
                else f"{value / factor:.0f} {unit}"
            )
    return f"{value:.0f} B"


def format_ms(value: float | None) -> str:
    """Milliseconds to three figures: 0.417, 4.17, 41.7, 4,170."""
    if value is None:
        return "–"
    decimals = next((d for d, below in ((3, 0.9995), (2, 9.995), (1, 99.95)) if value < below), 0)
    return f"{value:,.{decimals}f}"


def format_score(value: float | None, *, sign: bool = False) -> str:
    """A score, or with `sign` a difference of two, to three decimals: 0.641, +0.012."""
    if value is None:
        return "–"
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def format_interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """An interval: 0.604 to 0.676; nothing where there is none."""
    return (
        ""
        if low is None or high is None
        else f"{format_score(low, sign=sign)} to {format_score(high, sign=sign)}"
    )


def format_share(value: float | None) -> str:
    """A fraction of 1 in percent: 98.6%."""
    return "–" if value is None else f"{value:.1%}"


def format_shares(low: float | None, high: float | None) -> str:
    """An interval of shares: 95.1% to 99.8%; nothing where there is none."""
    return "" if low is None or high is None else f"{low:.1%} to {high:.1%}"


def format_metric(name: str) -> str:
    """A metric as people write it: macro-F1."""
    return METRICS.get(name, name)


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> str:
    """A Markdown table whose first columns are words and the others figures."""
    rule = ["---"] * words + ["---:"] * (len(titles) - words)
    lines = [
        titles,
        rule,
        *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
