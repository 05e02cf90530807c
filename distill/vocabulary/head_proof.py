"""What trimming left of a fine-tuned head's answers: its logits compared bit by bit, its
predictions counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from distill.models.task_heads import head_logits, head_of, predictions
from distill.vocabulary.comparison import batches, evaluating, larger

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.vocabulary.verification import Segmentation

_BATCH_TOKENS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadComparison:
    """One head's answers before and after, over sentences that are segmented as before."""

    predictions: int
    """Texts, or of a head that tags words the tokens."""
    equal: int
    """How many of them are the same after trimming."""
    max_difference: float | None
    """The largest of any logit; None if no sentence is identical."""


@torch.inference_mode()
def compare_heads(
    original: PreTrainedModel, trimmed: PreTrainedModel, segmentation: Segmentation
) -> HeadComparison | None:
    """The heads' answers to the identical sentences; None for a model without a head for a task.

    Both models see batches of the same shape, so that equal weights give equal bits.
    """
    head = head_of(original)
    if head is None or head_of(trimmed) is None:
        return None
    largest, count, equal = None, 0, 0
    with evaluating(original) as old_model, evaluating(trimmed) as new_model:
        for before, after, mask in batches(original, trimmed, segmentation, _BATCH_TOKENS):
            old = head_logits(old_model(input_ids=before, attention_mask=mask))
            new = head_logits(new_model(input_ids=after, attention_mask=mask))
            largest = larger(largest, (old - new).abs().max().item())
            same = predictions(old, head) == predictions(new, head)
            same = same[mask.bool()] if head.task == "tags" else same.reshape(len(same), -1).all(1)
            count, equal = count + same.numel(), equal + int(same.sum())
    return HeadComparison(predictions=count, equal=equal, max_difference=largest)
