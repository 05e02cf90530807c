"""How often each piece of a vocabulary occurs in text: batches of text go in, counts and characters
come out.

Each distinct unit (a word, where the tokenizer allows it) is segmented once and weighted by its
frequency. Reading, parsing and cutting into units run in other processes; what they send back is
added up and segmented here. Whenever the table of units is full it is segmented and emptied, so
that memory is bounded however much text there is; counts are whole numbers, so that neither the
number of processes nor the order of the text changes the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from distill.runtime.slices import in_runs
from distill.runtime.workers import mapped
from distill.vocabulary.units import Units, extends

if TYPE_CHECKING:
    from distill.vocabulary.families import Vocabulary

Batch = Iterable[tuple[int, str]]
"""Texts, each with the number of its source: what one process takes at a time, so it is small
enough and can be pickled.
"""
Table = dict[int, Counter[str]]
"""For each source the frequency of each unit."""
T = TypeVar("T")

MAX_UNITS = 2_000_000
"""The table of distinct units is segmented and emptied beyond this: about 300 MB."""
BATCH_CHARACTERS = 4_000_000
_BLOCK_CHARACTERS = 500_000
_ENCODE_TEXTS, _PACKED_WORDS, _PACKED_CHARACTERS = 500, 100, 1000
_ENCODE_CHARACTERS, _LONGEST_UNIT = 2_000_000, 100_000
"""A tokenizer may take 200 bytes for each character of a text while it segments it."""
_CODE_POINTS = 0x110000


@dataclass(kw_only=True)
class Counts:
    """What was counted; counts are int64."""

    pieces: np.ndarray
    """[sources, ids]: how often each piece occurs."""
    code_points: np.ndarray
    """[languages, 0x110000]: how often each character occurs, before normalisation."""
    characters: set[str] = field(default_factory=set)
    """The characters that occur, after normalisation."""

    def __add__(self, other: Counts) -> Counts:
        """What both counted."""
        return Counts(
            pieces=self.pieces + other.pieces,
            code_points=self.code_points + other.code_points,
            characters=self.characters | other.characters,
        )


def count_text(
    batches: Iterable[Batch],
    vocabulary: Vocabulary,
    *,
    languages: Sequence[int] = (0,),
    workers: int = 1,
    advance: Callable[[float], object] = lambda batches: None,
) -> Counts:
    """Count pieces and characters of all batches, with `workers` processes beside this one if more
    than 1. `languages` are those of the text's sources, numbered from 0.
    """
    counts = Counts(
        pieces=np.zeros((len(languages), vocabulary.size), dtype=np.int64),
        code_points=np.zeros((max(languages) + 1, _CODE_POINTS), dtype=np.int64),
    )
    table: Table = {source: Counter() for source in range(len(languages))}
    count = partial(count_units, units=vocabulary.units)
    with closing(mapped(count, batches, workers)) as tables:
        for counted in tables:
            for source, units in counted.items():
                table[source].update(units)
            if sum(map(len, table.values())) > MAX_UNITS:
                segment_units(table, vocabulary, counts, languages)
            advance(1)
    segment_units(table, vocabulary, counts, languages)
    return counts


def segment_units(
    table: Table, vocabulary: Vocabulary, counts: Counts, languages: Sequence[int]
) -> None:
    """Add what the units of `table` consist of to `counts`, and empty the table."""
    for source, units in table.items():
        units.pop("", None)
        for batch in in_runs(
            pack_units(units, vocabulary.units),
            lambda text: len(text[0]),
            characters=_ENCODE_CHARACTERS,
            count=_ENCODE_TEXTS,
        ):
            texts = [text for text, _ in batch]
            frequencies = np.fromiter(
                (count for _, count in batch), dtype=np.int64, count=len(batch)
            )
            _add(counts.pieces[source], vocabulary.encode(texts), frequencies)
            joined = "".join(texts).encode("utf-32-le", "surrogatepass")
            lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
            np.add.at(
                counts.code_points[languages[source]],
                np.frombuffer(joined, dtype=np.uint32),
                np.repeat(frequencies, lengths),
            )
            counts.characters.update(vocabulary.normalise(" ".join(texts)))
        units.clear()
    counts.characters.discard(" ")


def pack_units(table: Counter[str], units: Units) -> Iterator[tuple[str, int]]:
    """Texts and how often each counts: the units of a table, those of one frequency together where
    blanks mean nothing.

    A tokenizer is nearly twice as fast on a text of many words as on as many texts of one.
    """
    if units != Units.WORDS:
        yield from _short_units(table)
        return

    def stands_alone(word: str) -> bool:
        return extends(word) or len(word) > _PACKED_CHARACTERS

    yield from (unit for unit in _short_units(table) if stands_alone(unit[0]))
    packed = (unit for unit in _short_units(table) if not stands_alone(unit[0]))
    by_frequency = sorted(packed, key=itemgetter(1))
    for frequency, same in groupby(by_frequency, key=itemgetter(1)):
        for words in batched((word for word, _ in same), _PACKED_WORDS):
            yield " ".join(words), frequency


def _short_units(table: Counter[str]) -> Iterator[tuple[str, int]]:
    """Units and frequencies; a unit that no tokenizer could segment in memory comes in parts, which
    changes what stands at their ends alone.
    """
    for unit, count in table.items():
        for start in range(0, len(unit), _LONGEST_UNIT):
            yield unit[start : start + _LONGEST_UNIT], count


def count_units(batch: Batch, units: Units) -> Table:
    """Frequencies of the units of one batch, by source."""
    table: Table = {}
    for source, block in _blocks(batch):
        counted = table.setdefault(source, Counter())
        for part in units.parts(block):
            counted.update(part)
    return table


def batch_texts(texts: Iterable[str], source: int = 0) -> Iterator[list[tuple[int, str]]]:
    """The texts in batches of a few million characters."""
    documents = ((source, text) for text in texts)
    return in_runs(documents, lambda document: len(document[1]), characters=BATCH_CHARACTERS)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Runs of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _add(counts: np.ndarray, encoded: list[list[int]], frequencies: np.ndarray) -> None:
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    ids = np.fromiter((i for ids in encoded for i in ids), dtype=np.int64, count=int(lengths.sum()))
    np.add.at(counts, ids, np.repeat(frequencies, lengths))


def _blocks(batch: Batch) -> Iterator[tuple[int, str]]:
    """Neighbouring texts of one source joined by newlines, which no unit spans: cutting many small
    texts is slow.
    """
    pending: list[str] = []
    size, current = 0, 0
    for source, text in batch:
        if pending and (source != current or size >= _BLOCK_CHARACTERS):
            yield current, "\n".join(pending)
            pending, size = [], 0
        current = source
        pending.append(text)
        size += len(text)
    if pending:
        yield current, "\n".join(pending)
