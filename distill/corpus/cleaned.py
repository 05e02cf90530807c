"""A source's records go in; each comes out with its text cleaned, in their order.

Cleaning is most of the work of reading, and runs in other processes where there is much text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from distill.corpus.cleaning import clean_text, content_hash
from distill.corpus.sources import Record, column_value
from distill.recipe import Source
from distill.runtime.slices import in_runs
from distill.runtime.workers import mapped

_BATCH_CHARACTERS = 1_000_000
_WORTH_PROCESSES = 16
"""So many batches are cleaned in this process before others are started, which takes a second."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A record, and its text before and after cleaning."""

    record: Record
    given: list[str]
    """One text, or two of a pair."""
    texts: list[str]
    """The same after cleaning."""
    identity: int
    """Equal for texts that differ in case and blanks only."""


def cleaned_records(
    records: Iterable[Record], source: Source, *, min_letters: float, workers: int = 1
) -> Iterator[Cleaned]:
    """Each record, cleaned.

    Of a source that ends at some size no record is read ahead. Raises UserError for a record
    without the column.
    """
    columns = [source.column, *([source.text_pair] if source.text_pair else [])]
    read = (
        (record, [column_value(record, name, source) for name in columns]) for record in records
    )
    # A year answers a question, and is no letter.
    clean = partial(clean_batch, min_letters=0.0 if source.text_pair else min_letters)
    if source.max_bytes is not None:
        for record, given in read:
            yield Cleaned(record, given, *clean([given])[0])
        return
    waiting: deque[list[tuple[Record, list[str]]]] = deque()

    def given_texts() -> Iterator[list[list[str]]]:
        for run in in_runs(read, _characters, characters=_BATCH_CHARACTERS):
            waiting.append(run)
            yield [given for _, given in run]

    batches = given_texts()
    first = islice(batches, _WORTH_PROCESSES)
    with closing(mapped(clean, batches, workers)) as others:
        for batch in chain(map(clean, first), others):
            for (record, given), cleaned in zip(waiting.popleft(), batch, strict=True):
                yield Cleaned(record, given, *cleaned)


def clean_batch(
    batch: Sequence[Sequence[str]], *, min_letters: float
) -> list[tuple[list[str], int]]:
    """The texts of each record after cleaning, and what identifies them; those lines stay that have
    so large a share of letters.
    """
    cleaned = []
    for given in batch:
        texts = [clean_text(text, min_letters=min_letters) for text in given]
        identity = content_hash("\0".join(texts))
        cleaned.append((texts, identity))
    return cleaned


def _characters(given: tuple[Record, list[str]]) -> int:
    return sum(map(len, given[1]))
