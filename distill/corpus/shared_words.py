"""Texts by the words that they share: TF-IDF, where a word counts by how few of the texts have it
(Salton & Buckley 1988).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distill.corpus.words import WORD

_BLOCK = 512
"""Queries at a time: of 100,000 passages 400 MB."""


def vectorizer(longest: int = 1) -> Any:
    """Words, and what stands together up to `longest` words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=WORD, ngram_range=(1, longest), sublinear_tf=True)


class Passages:
    """Texts among which others are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._vectorizer = vectorizer()
        try:
            self._vectors = self._vectorizer.fit_transform(texts)
        except ValueError:  # none of them has a word
            self._vectors = None
        self._count = len(texts)

    def likeness(self, queries: Sequence[str]) -> Iterator[np.ndarray]:
        """Cosines with all passages, [queries, passages], in blocks of queries."""
        if self._vectors is None or not queries:
            yield np.zeros((len(queries), self._count))
            return
        vectors = self._vectorizer.transform(queries)
        for at in range(0, len(queries), _BLOCK):
            yield (vectors[at : at + _BLOCK] @ self._vectors.T).toarray()

    def nearest(self, queries: Sequence[str], count: int) -> np.ndarray:
        """The numbers of the `count` passages that share most words with each query, those first,
        [queries, count]; of equals the earlier first.
        """
        ordered = [
            np.argsort(-block, axis=1, kind="stable")[:, :count].copy()
            for block in self.likeness(queries)
        ]
        return np.concatenate(ordered) if ordered else np.empty((0, count), dtype=np.int64)
