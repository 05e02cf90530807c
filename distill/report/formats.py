"""Figures as a person says them: numbers go in; short text comes out, a dash for what is not measured."""

from __future__ import annotations


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
            return f"{value / factor:.1f} {unit}" if value < 9.95 * factor else f"{value / factor:.0f} {unit}"
    return f"{value:.0f} B"


def format_ms(value: float | None) -> str:
    """Milliseconds to three figures: 0.417, 4.17, 41.7, 4,170."""
    if value is None:
        return "–"
    decimals = next((d for d, below in ((3, 0.9995), (2, 9.995), (1, 99.95)) if value < below), 0)
    return f"{value:,.{decimals}f}"
