"""The proof: on held-out sentences, what trimming left as it was, counted and measured rather than
believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.models.loading import position_limit
from distill.runtime.batching import rows_of_like_length

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from distill.vocabulary.families import Vocabulary

_BATCH_TOKENS, _LOGIT_BATCH_TOKENS = 4096, 256


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
    before, after = encode(original, sentences), encode(trimmed, sentences)
    return Segmentation(
        original=before,
        trimmed=after,
        identical=renumbered(before, after, new_ids),
        around=original.num_special_tokens_to_add(pair=False),
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


def raw_identical(
    original: Tokenizer, trimmed: Tokenizer, sentences: Sequence[str], new_ids: dict[int, int]
) -> float:
    """Share of sentences whose segmentation is unchanged through the `tokenizers` library alone,
    special tokens included.
    """
    before, after = (
        [encoding.ids for encoding in raw.encode_batch(list(sentences))]
        for raw in (original, trimmed)
    )
    return float(renumbered(before, after, new_ids).mean())


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


def raw_agreement(raw: Tokenizer, sentences: Sequence[str], ids: Sequence[Sequence[int]]) -> float:
    """Share of sentences for which the `tokenizers` library alone gives the same ids."""
    if not sentences:
        return 1.0
    encodings = raw.encode_batch(list(sentences))
    return float(
        np.mean([encoding.ids == list(own) for encoding, own in zip(encodings, ids, strict=True)])
    )


def round_trip(
    original: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, segmentation: Segmentation
) -> float:
    """Share of sentences that decode to the same text after trimming as before."""
    before = original.batch_decode(segmentation.original, skip_special_tokens=True)
    after = trimmed.batch_decode(segmentation.trimmed, skip_special_tokens=True)
    return float(np.mean([a == b for a, b in zip(before, after, strict=True)])) if before else 1.0


@torch.inference_mode()
def max_hidden_difference(
    original: PreTrainedModel,
    trimmed: PreTrainedModel,
    segmentation: Segmentation,
    advance: Callable[[float], object] = lambda tokens: None,
) -> float | None:
    """Largest absolute difference of any hidden state of any layer over the sentences that segment
    identically.

    Both models see batches of the same shape, so that equal weights give equal bits. None if no
    sentence is identical.
    """
    largest = None
    # The encoder alone: what a head adds is compared by `max_logit_difference`.
    with (
        evaluating(original.base_model) as old_encoder,
        evaluating(trimmed.base_model) as new_encoder,
    ):
        for before, after, mask in batches(original, trimmed, segmentation, _BATCH_TOKENS):
            old = old_encoder(
                input_ids=before, attention_mask=mask, output_hidden_states=True
            ).hidden_states
            new = new_encoder(
                input_ids=after, attention_mask=mask, output_hidden_states=True
            ).hidden_states
            # Padding too: the padding piece is kept, so its states are equal as well.
            pairs = zip(old, new, strict=True)
            largest = larger(largest, *((a - b).abs().max().item() for a, b in pairs))
            advance(float(mask.sum()))
    return largest


@torch.inference_mode()
def max_logit_difference(
    original: PreTrainedModel,
    trimmed: PreTrainedModel,
    segmentation: Segmentation,
    kept: Sequence[int],
) -> float | None:
    """Largest absolute difference of the logit of any kept piece, over the sentences that segment
    identically.

    None for a model without a head over the vocabulary, and if no sentence is identical.
    """
    if trimmed.get_output_embeddings() is None:
        return None
    largest, rows = None, torch.tensor(kept, dtype=torch.long)
    with evaluating(original) as old_model, evaluating(trimmed) as new_model:
        for before, after, mask in batches(original, trimmed, segmentation, _LOGIT_BATCH_TOKENS):
            old = old_model(input_ids=before, attention_mask=mask)[0][..., rows]
            new = new_model(input_ids=after, attention_mask=mask)[0]
            largest = larger(largest, (old - new).abs().max().item())
    return largest


def larger(largest: float | None, *differences: float) -> float:
    """The largest of the differences; NaN if one of them is, which `max` would pass over."""
    return float(np.max([largest or 0.0, *differences]))


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The model without dropout; afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    try:
        yield model.eval()
    finally:
        for module in training:
            module.training = True


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, [rows, longest], int64."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask


def batches(
    original: PreTrainedModel, trimmed: PreTrainedModel, segmentation: Segmentation, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Ids before and after and their mask, of the identical sentences sorted by length, about
    `size` tokens at a time.
    """
    limit = position_limit(original)
    both = zip(segmentation.original, segmentation.trimmed, segmentation.identical, strict=True)
    pairs = [(a[:limit], b[:limit]) for a, b, same in both if same]
    for rows in rows_of_like_length([len(before) for before, _ in pairs], size):
        before, mask = pad([pairs[row][0] for row in rows], original.config.pad_token_id or 0)
        after, _ = pad([pairs[row][1] for row in rows], trimmed.config.pad_token_id or 0)
        yield before, after, mask
