"""Held-out texts as a tokenizer segments them: sentences go in; the ids of each sentence and word
come out.

Each distinct unit of all texts is segmented once. A sentence consists of what its units consist of,
wherever they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distill.vocabulary.families import Vocabulary


@dataclass(frozen=True, slots=True)
class Segments:
    """Segmented texts, their ids in one row."""

    ids: np.ndarray
    """int64, all texts' one after the other."""
    lengths: np.ndarray
    """int64, one a text."""

    @staticmethod
    def of(texts: Sequence[Sequence[int]]) -> Segments:
        """The ids of each text."""
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        ids = np.fromiter((i for ids in texts for i in ids), np.int64, count=int(lengths.sum()))
        return Segments(ids, lengths)

    def deepest(self, rank: np.ndarray) -> np.ndarray:
        """For each text the highest rank of its pieces and one more; 0 where none has any."""
        highest = np.zeros(len(self.lengths), dtype=np.int64)
        filled = self.lengths > 0
        starts = (np.cumsum(self.lengths) - self.lengths)[filled]
        if len(starts):
            highest[filled] = np.maximum.reduceat(rank[self.ids] + 1, starts)
        return highest

    def joined(self, texts: Segments) -> Segments:
        """Texts that are these texts in a row: `texts` holds the numbers of those that each is made
        of.
        """
        lengths = self.lengths[texts.ids]
        starts = (np.cumsum(self.lengths) - self.lengths)[texts.ids]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        until = np.concatenate([[0], np.cumsum(lengths)])
        ends = np.cumsum(texts.lengths)
        return Segments(
            self.ids[np.repeat(starts, lengths) + within],
            until[ends] - until[ends - texts.lengths],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentedUnits:
    """Distinct units, segmented by the untrimmed tokenizer."""

    texts: list[str]
    """Words where those are segmented on their own, else whole lines."""
    ids: Segments
    unknown: np.ndarray
    """How many characters of each are unknown, int64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """A held-out text, segmented by the untrimmed tokenizer."""

    sentences: Segments
    words: Segments
    """The distinct words, as they are segmented within a line."""
    frequencies: np.ndarray
    """How often each of the units occurs in it, int64."""
    running_words: int
    characters: int
    """All characters but blanks."""


class _Numbers(dict[str, int]):
    """Distinct texts, numbered as they come."""

    def of(self, texts: Iterable[str]) -> list[int]:
        """The numbers of the texts but empty ones."""
        return [self.setdefault(text, len(self)) for text in texts if text]


def segment_heldout(
    texts: Sequence[Sequence[str]], vocabulary: Vocabulary
) -> tuple[SegmentedUnits, list[HeldOut]]:
    """The units of all texts, and each text, which is a list of sentences."""
    numbers, cut = _Numbers(), vocabulary.units
    units = [[numbers.of(cut.split(one)) for one in sentences] for sentences in texts]
    count = len(numbers)
    # No unit runs over a line's end, which may have a piece of its own: several lines go as one.
    made_of = [
        [numbers.of([one]) if "\n" in one else own for one, own in zip(sentences, of, strict=True)]
        for sentences, of in zip(texts, units, strict=True)
    ]
    words = [Counter(word for one in sentences for word in one.split()) for sentences in texts]
    within = [[numbers.of([cut.within(word)]) for word in own] for own in words]
    everything = list(numbers)
    encoded, distinct = vocabulary.encode(everything), everything[:count]
    spelled = Segments.of(encoded)
    return SegmentedUnits(
        texts=distinct,
        ids=Segments.of(encoded[:count]),
        unknown=np.array(vocabulary.unknown_characters(distinct, encoded[:count]), dtype=np.int64),
    ), [
        HeldOut(
            sentences=spelled.joined(Segments.of(made_of[i])),
            words=spelled.joined(Segments.of(within[i])),
            frequencies=np.bincount(Segments.of(units[i]).ids, minlength=count),
            running_words=words[i].total(),
            characters=sum(len(word) * times for word, times in words[i].items()),
        )
        for i in range(len(texts))
    ]
