"""A model and its trimmed copy go in; where they differ comes out: weights, hidden states, logits.

Both are one model but for the rows of their tables, so weights are compared tensor by tensor, which
is exact and takes a second. Hidden states are then compared on as many sentences as there is time
for, as a check of all that weights do not say: positions, buffers, configuration, kernels.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.models.loading import position_limit
from distill.runtime.batching import rows_of_like_length, split_rows
from distill.vocabulary.trimming import embedding_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.vocabulary.verification import Segmentation

_BATCH_TOKENS, _LOGIT_BATCH_TOKENS, _SAMPLE_TOKENS = 1024, 256, 8192
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedStates:
    """Hidden states of both models on the same sentences."""

    sentences: int
    seconds: float
    largest: float | None
    """Largest absolute difference of any hidden state of any layer; None without a sentence."""


def unequal_weights(
    original: PreTrainedModel, trimmed: PreTrainedModel, kept: Sequence[int]
) -> list[str]:
    """Names of the tensors of `trimmed`, buffers included, that are not the bits of `original`'s,
    of its `kept` rows where a tensor has a row for each piece. What is not a number equals nothing.
    """
    rows, chosen = embedding_rows(original), torch.tensor(kept, dtype=torch.long)
    before, after = (
        dict(chain(model.named_parameters(), model.named_buffers()))
        for model in (original, trimmed)
    )
    unequal = sorted(before.keys() ^ after.keys())
    for name in before.keys() & after.keys():
        old, new = before[name].detach(), after[name].detach()
        if old.shape != new.shape and old.shape[:1] == (rows,) and len(new) == len(kept):
            old = old[chosen]
        if not _same_bits(old, new):
            unequal.append(name)
    return unequal


def _same_bits(old: torch.Tensor, new: torch.Tensor) -> bool:
    if old.shape != new.shape or old.dtype != new.dtype or not torch.equal(old, new):
        return False
    # Equal numbers of different bits: zeros of either sign.
    return torch.equal(*(tensor.reshape(-1).view(torch.uint8) for tensor in (old, new)))


def samples_of_all_lengths(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """All rows' numbers, dealt to samples of about `tokens` tokens, each with short and long rows
    alike, the shortest first.

    Neighbours in length go to different samples, by lot from a fixed seed, so that however many of
    the samples are taken, they are a stratified sample of the rows.
    """
    count = max(1, math.ceil(int(lengths.sum()) / tokens))
    chance, ranked = np.random.default_rng(_SEED), np.argsort(lengths, kind="stable")
    lots = [chance.permutation(count) for _ in range(0, len(ranked), count)]
    dealt = np.concatenate(lots)[: len(ranked)] if lots else np.zeros(0, dtype=np.int64)
    return [rows for sample in range(count) if len(rows := ranked[dealt == sample])]


def compare_states(
    original: PreTrainedModel,
    trimmed: PreTrainedModel,
    segmentation: Segmentation,
    *,
    seconds: float = math.inf,
    advance: Callable[[float], object] = lambda share: None,
) -> ComparedStates:
    """Compare every hidden state of every layer on the sentences that segment identically, on a
    sample of them where `seconds` are too few for all, but on one sample at least.

    Both models see batches of the same shape, so that equal weights give equal bits. `advance` is
    given the share of the work, or of the seconds where those end first, that was done since.
    """
    pairs = _identical(segmentation, position_limit(original))
    lengths = np.array([len(before) for before, _ in pairs], dtype=np.int64)
    started, largest, taken, compared, told = time.monotonic(), None, 0, 0, 0.0
    samples = samples_of_all_lengths(lengths, _SAMPLE_TOKENS)
    # The encoders alone: what a head adds is compared by `max_logit_difference`.
    with _side_by_side(original.base_model, trimmed.base_model) as differences:
        while taken < len(samples):
            left = seconds - (time.monotonic() - started)
            fitting = left / (time.monotonic() - started) * taken if taken else 1.0
            if fitting < 1:
                break
            # Half of what seems to fit, so that a wrong guess is put right.
            run = samples[taken : taken + max(1, int(min(fitting, len(samples)) / 2))]
            batches = [
                rows for sample in run for rows in split_rows(sample, lengths, _BATCH_TOKENS)
            ]
            padded = (_padded([pairs[row] for row in rows], original, trimmed) for rows in batches)
            largest = larger(largest, *differences(padded))
            taken, compared = taken + len(run), compared + sum(map(len, run))
            share = min(1.0, max(taken / len(samples), (time.monotonic() - started) / seconds))
            advance(share - told)
            told = share
    return ComparedStates(sentences=compared, seconds=time.monotonic() - started, largest=largest)


_Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Ids before and after trimming, and their mask."""


@contextmanager
def _side_by_side(
    original: PreTrainedModel, trimmed: PreTrainedModel
) -> Iterator[Callable[[Iterable[_Inputs]], Iterator[float]]]:
    """The largest difference of a state for each batch; one batch on each of torch's threads.

    That is faster than one batch on all threads, several times so beside other work, as a thread
    never waits for another within a layer.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        old, new = (stack.enter_context(evaluating(model)) for model in (original, trimmed))
        # Modules of its own for each thread, over the same weights: some versions of transformers
        # record hidden states in the module.
        idle = [(_over_the_same_weights(old), _over_the_same_weights(new)) for _ in range(threads)]

        def difference(inputs: _Inputs) -> float:
            models = idle.pop()
            try:
                return _difference(*models, *inputs)
            finally:
                idle.append(models)

        try:
            pool = ThreadPoolExecutor(threads, "proof", torch.set_num_threads, (1,))
            stack.enter_context(pool)
            yield lambda batches: pool.map(difference, batches)
        finally:
            torch.set_num_threads(threads)


@torch.inference_mode()
def _difference(
    original: torch.nn.Module,
    trimmed: torch.nn.Module,
    before: torch.Tensor,
    after: torch.Tensor,
    mask: torch.Tensor,
) -> float:
    old, new = (
        model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        for model, ids in ((original, before), (trimmed, after))
    )
    # Padding too: the padding piece is kept, so its states are equal as well.
    return larger(None, *((a - b).abs().max().item() for a, b in zip(old, new, strict=True)))


def _over_the_same_weights(model: torch.nn.Module) -> torch.nn.Module:
    tensors = chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


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


def batches(
    original: PreTrainedModel, trimmed: PreTrainedModel, segmentation: Segmentation, size: int
) -> Iterator[_Inputs]:
    """Ids before and after and their mask, of the identical sentences sorted by length, about
    `size` tokens at a time.
    """
    pairs = _identical(segmentation, position_limit(original))
    for batch in rows_of_like_length([len(before) for before, _ in pairs], size):
        yield _padded([pairs[row] for row in batch], original, trimmed)


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


_Ids = Sequence[int]


def _identical(segmentation: Segmentation, limit: int) -> list[tuple[_Ids, _Ids]]:
    """Ids before and after of the sentences that segment identically, at most `limit` of each."""
    both = zip(segmentation.original, segmentation.trimmed, segmentation.identical, strict=True)
    return [(before[:limit], after[:limit]) for before, after, same in both if same]


def _padded(
    pairs: Sequence[tuple[_Ids, _Ids]], original: PreTrainedModel, trimmed: PreTrainedModel
) -> _Inputs:
    before, mask = pad([before for before, _ in pairs], original.config.pad_token_id or 0)
    after, _ = pad([after for _, after in pairs], trimmed.config.pad_token_id or 0)
    return before, after, mask


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, [rows, longest], int64."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    return ids, mask
