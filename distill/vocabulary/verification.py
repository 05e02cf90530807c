"""The proof: on held-out sentences, what trimming left as it was, counted and measured rather than believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH_TOKENS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """How held-out sentences are segmented before and after; ids with special tokens, one list a sentence."""

    original: list[list[int]]
    trimmed: list[list[int]]
    identical: np.ndarray
    """bool, one a sentence: the trimmed ids are the original ids renumbered."""

    def unknown_rate(self, ids: Sequence[Sequence[int]], unknown: int | None) -> float:
        """Share of unknown tokens among all tokens but the two special ones around a sentence."""
        tokens = sum(max(len(sentence) - 2, 0) for sentence in ids)
        return sum(sentence.count(unknown) for sentence in ids) / tokens if tokens and unknown is not None else 0.0

    def tokens_per_word(self, ids: Sequence[Sequence[int]], words: int) -> float:
        """Tokens without the special ones, over white-space separated words."""
        return sum(max(len(sentence) - 2, 0) for sentence in ids) / words if words else 0.0


def segment(
    sentences: Sequence[str],
    original: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    new_ids: dict[int, int],
) -> Segmentation:
    """Both segmentations of every sentence, through transformers."""
    before = _encode(original, sentences)
    after = _encode(trimmed, sentences)
    identical = [
        len(a) == len(b) and all(new_ids.get(x) == y for x, y in zip(a, b, strict=True))
        for a, b in zip(before, after, strict=True)
    ]
    return Segmentation(original=before, trimmed=after, identical=np.array(identical, dtype=bool))


def raw_agreement(raw: Tokenizer, sentences: Sequence[str], ids: Sequence[Sequence[int]]) -> float:
    """Share of sentences for which the `tokenizers` library alone gives the same ids."""
    if not sentences:
        return 1.0
    encodings = raw.encode_batch(list(sentences))
    return float(np.mean([encoding.ids == list(own) for encoding, own in zip(encodings, ids, strict=True)]))


@torch.inference_mode()
def max_hidden_difference(
    original: PreTrainedModel,
    trimmed: PreTrainedModel,
    segmentation: Segmentation,
    advance: Callable[[float], object] = lambda tokens: None,
) -> float | None:
    """Largest absolute difference of any hidden state of any layer over the sentences that segment identically.

    Both models see batches of the same shape, so that equal weights give equal bits. None if no sentence is identical.
    """
    pairs = [
        (before[:limit], after[:limit])
        for before, after, same in zip(segmentation.original, segmentation.trimmed, segmentation.identical, strict=True)
        for limit in [original.config.max_position_embeddings - 2]
        if same
    ]
    if not pairs:
        return None
    largest = 0.0
    for batch in _batches(sorted(pairs, key=lambda pair: len(pair[0]))):
        before, mask = pad([pair[0] for pair in batch], original.config.pad_token_id or 0)
        after, _ = pad([pair[1] for pair in batch], trimmed.config.pad_token_id or 0)
        old = original(input_ids=before, attention_mask=mask, output_hidden_states=True).hidden_states
        new = trimmed(input_ids=after, attention_mask=mask, output_hidden_states=True).hidden_states
        # Padding too: the padding piece is kept, so its states are equal as well.
        largest = max(largest, *((a - b).abs().max().item() for a, b in zip(old, new, strict=True)))
        advance(float(mask.sum()))
    return largest


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, [rows, longest], int64."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask


def _encode(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]) -> list[list[int]]:
    if not sentences:
        return []
    ids: list[list[int]] = tokenizer(list(sentences), add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
    return ids


def _batches(pairs: list[tuple[list[int], list[int]]]) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Runs of pairs, sorted by length, of at most _BATCH_TOKENS tokens each when padded."""
    start = 0
    while start < len(pairs):
        end = start + 1
        while end < len(pairs) and len(pairs[end][0]) * (end + 1 - start) <= _BATCH_TOKENS:
            end += 1
        yield pairs[start:end]
        start = end
