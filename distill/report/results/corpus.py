"""What the corpus stage returns."""

from __future__ import annotations

from dataclasses import dataclass

MUCH_FOREIGN = 0.1
"""With a larger share of documents in another language the user hears of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFigures:
    """What one source gave; sizes in bytes of UTF-8 text."""

    name: str
    """Fit to be published."""
    location: str
    """As the recipe says it."""
    licence: str | None
    files: int
    rows: int
    bytes: int
    lines: int
    invalid_utf8: int
    """Lines that are not UTF-8, and were left out."""
    invalid_json: int
    """Lines that are not JSON objects, and were left out."""
    first_invalid: str | None
    """Where the first of them stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusResult:
    """What the corpus stage made; sizes in bytes of UTF-8 text."""

    documents: int
    bytes: int
    words: int
    heldout_documents: int
    dropped: dict[str, int]
    """Documents left out, by reason."""
    foreign_share: float | None
    """Share of a sample of the documents that is in another language; None if the identifier
    doesn't know the recipe's.
    """
    sources: list[SourceFigures]
    """For each source: name, location, licence, files, rows, bytes, lines, and lines that could not
    be read.
    """

    @property
    def warnings(self) -> list[str]:
        """What the user should know of the text."""
        warnings = [
            f"corpus: of {source.lines:,} lines of {source.location}, "
            f"{source.invalid_utf8:,} are not UTF-8 and "
            f"{source.invalid_json:,} not JSON objects; they were left out (first: "
            f"{source.first_invalid})"
            for source in self.sources
            if source.invalid_utf8 or source.invalid_json
        ]
        if self.foreign_share is not None and self.foreign_share > MUCH_FOREIGN:
            warnings.append(
                f"corpus: {self.foreign_share:.0%} of the documents seem to be in another language "
                "than the recipe's, or in "
                "none; check the sources, or filter by language (corpus.language_filter)"
            )
        return warnings
