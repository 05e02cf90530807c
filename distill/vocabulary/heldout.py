"""The held-out sentences that curve, proof and comparison are made on: many go in, distinct ones of
a bounded number come out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from distill.corpus.cleaning import clean_text, content_hash, split_sentences
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.recipe import Source

MOST_SENTENCES = 50_000
"""Of more only so many are drawn: a share of 95% is then known to within 0.1%."""
LONGEST_SENTENCE = 10_000
"""Characters: what is longer is no sentence but text without an end to any, and no model reads
further.
"""


class HeldOutSentences:
    """Distinct sentences in the order they came in, each with the number of the source that had it
    first.

    Of more than `most` those with the lowest hash stay, so the draw does not depend on the order,
    nor memory on the text.
    """

    def __init__(
        self, sentences: Iterable[tuple[int, str]] = (), most: int = MOST_SENTENCES
    ) -> None:
        self.most = most
        self._origin: dict[str, int] = {}
        for source, sentence in sentences:
            self.add(source, sentence)

    @staticmethod
    def of(texts: Iterable[str]) -> HeldOutSentences:
        """The sentences of texts of one source."""
        return HeldOutSentences(
            (0, sentence) for text in texts for sentence in split_sentences(text)
        )

    def add(self, source: int, sentence: str) -> None:
        """Take another sentence in, of a longer one its beginning."""
        self._origin.setdefault(sentence[:LONGEST_SENTENCE], source)
        if len(self._origin) >= 2 * self.most:
            self._draw()

    def origins(self) -> dict[str, int]:
        """Each sentence with the number of its source."""
        if len(self._origin) > self.most:
            self._draw()
        return dict(self._origin)

    def __iter__(self) -> Iterator[str]:
        return iter(self.origins())

    def __len__(self) -> int:
        return min(len(self._origin), self.most)

    def _draw(self) -> None:
        drawn = set(heapq.nsmallest(self.most, self._origin, key=content_hash))
        self._origin = {
            sentence: source for sentence, source in self._origin.items() if sentence in drawn
        }


def read_sentences(sources: Sequence[Source]) -> HeldOutSentences:
    """The distinct sentences of the sources, numbered in their order.

    Raises UserError for a source that cannot be read.
    """
    return HeldOutSentences(
        (number, sentence)
        for number, source in enumerate(sources)
        for record in read_source(source, Tally())
        # Lines of signs and figures stay: a vocabulary is measured on what users will write.
        for sentence in split_sentences(clean_text(column_value(record, source.column, source)))
    )
