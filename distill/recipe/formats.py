"""The file formats that a recipe may name."""

from __future__ import annotations

FORMATS = ["txt", "jsonl", "csv", "tsv", "parquet", "conllu", "srt"]
"""Those that come with the package, and then those that were registered."""


def check_format(name: str) -> str:
    """`name` if there is such a format. Raises ValueError otherwise."""
    if name in FORMATS:
        return name
    known = [f"'{form}'" for form in FORMATS]
    raise ValueError(f"Input should be {', '.join(known[:-1])} or {known[-1]}")
