"""Held-out sentences and two tokenizers go in; what trimming changed of their segmentation comes
out, counted rather than believed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from distill.vocabulary.families import Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """How held-out sentences are segmented before and after; ids with special tokens, one list a
    sentence.
    """

    original: list[list[int]]
    trimmed: list[list[int]]
    identical: np.ndarray
    """bool, one a sentence: the trimmed ids are the original ids renumbered."""
    around: int = 2
    """How many special tokens stand around each sentence."""
    seconds: float = 0.0
    """What it took to segment them."""

    def sample(self, tokens: int) -> Segmentation:
        """The identical sentences alone; where those have more than `tokens` tokens, every n-th of
        them.
        """
        places = np.flatnonzero(self.identical)
        total = sum(len(self.original[i]) for i in places)
        places = places[:: max(1, math.ceil(total / tokens))]
        return Segmentation(
            original=[self.original[i] for i in places],
            trimmed=[self.trimmed[i] for i in places],
            identical=np.ones(len(places), dtype=bool),
            around=self.around,
        )

    def unknown_rate(
        self, ids: Sequence[Sequence[int]], unknown: int | None, around: Sequence[int] = ()
    ) -> float:
        """Share of unknown tokens among all tokens but the special ones around a sentence, which
        `around` holds: the unknown token may be one of them.
        """
        tokens = sum(max(len(sentence) - self.around, 0) for sentence in ids)
        if not tokens or unknown is None:
            return 0.0
        apart = list(around).count(unknown)
        return sum(max(sentence.count(unknown) - apart, 0) for sentence in ids) / tokens

    def tokens_per_word(self, ids: Sequence[Sequence[int]], words: int) -> float:
        """Tokens without the special ones, over white-space separated words."""
        return (
            sum(max(len(sentence) - self.around, 0) for sentence in ids) / words if words else 0.0
        )


def segment(
    sentences: Sequence[str],
    original: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    new_ids: dict[int, int],
) -> Segmentation:
    """Both segmentations of every sentence, through transformers."""
    started = time.monotonic()
    before, after = encode(original, sentences), encode(trimmed, sentences)
    return Segmentation(
        original=before,
        trimmed=after,
        identical=renumbered(before, after, new_ids),
        around=original.num_special_tokens_to_add(pair=False),
        seconds=time.monotonic() - started,
    )


def encode(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]) -> list[list[int]]:
    """The ids of each sentence with the special tokens around it, through transformers."""
    if not sentences:
        return []
    ids: list[list[int]] = tokenizer(
        list(sentences), add_special_tokens=True, truncation=False, verbose=False
    )["input_ids"]
    return ids


def renumbered(
    before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], new_ids: dict[int, int]
) -> np.ndarray:
    """For each pair of segmentations, whether the second is the first with its ids renumbered:
    bool, one a pair.
    """
    both = zip(before, after, strict=True)
    same = (
        len(a) == len(b) and all(new_ids.get(x) == y for x, y in zip(a, b, strict=True))
        for a, b in both
    )
    return np.fromiter(same, dtype=bool, count=len(before))


@dataclass(frozen=True, kw_only=True, slots=True)
class RawFigures:
    """What the `tokenizers` library alone makes of the sentences, special tokens included."""

    identical: float | None
    """Share of sentences whose segmentation is unchanged; None where the tokenizer is not one of
    the library's.
    """
    agreement: float | None
    """Share of sentences that it segments after trimming as transformers does."""


def raw_figures(
    original: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    sentences: Sequence[str],
    segmentation: Segmentation,
    new_ids: dict[int, int],
) -> RawFigures:
    """The sentences, whose `segmentation` is transformers', through the `tokenizers` library."""
    if not original.is_fast:
        return RawFigures(identical=None, agreement=None)
    # Of the untrimmed tokenizer transformers has what this library gave.
    raw = trimmed.backend_tokenizer.encode_batch_fast(list(sentences))
    after = [encoding.ids for encoding in raw]
    same = [ids == loaded for ids, loaded in zip(after, segmentation.trimmed, strict=True)]
    return RawFigures(
        identical=float(renumbered(segmentation.original, after, new_ids).mean()),
        agreement=float(np.mean(same)),
    )


def words_identical(
    original: Vocabulary, trimmed: Vocabulary, sentences: Sequence[str], new_ids: dict[int, int]
) -> float:
    """Share of the distinct words of the sentences whose segmentation within a line is
    unchanged.
    """
    words = sorted(
        {original.units.within(word) for sentence in sentences for word in sentence.split()}
    )
    return float(renumbered(original.encode(words), trimmed.encode(words), new_ids).mean())


def round_trip(
    original: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, segmentation: Segmentation
) -> float:
    """Share of sentences that decode to the same text after trimming as before."""
    before = original.batch_decode(segmentation.original, skip_special_tokens=True)
    after = trimmed.batch_decode(segmentation.trimmed, skip_special_tokens=True)
    return float(np.mean([a == b for a, b in zip(before, after, strict=True)])) if before else 1.0
