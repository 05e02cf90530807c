"""How close a student is to its teacher on held-out text: a few numbers that need no labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from distill.distillation.chunks import Chunks
from distill.distillation.states import StateReader
from distill.teacher.pooling import pool

_MAX_TOKENS = 12_000
_BATCH_TOKENS = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Held-out batches with what the teacher makes of them."""

    batches: list[tuple[torch.Tensor, torch.Tensor]]
    last: list[torch.Tensor]
    pooled: torch.Tensor


def reference_states(teacher: StateReader, heldout: Chunks, pooling: str, padding: int, device: torch.device) -> Reference:
    """The teacher's states on the first held-out chunks, up to about 12,000 tokens."""
    count = int(np.searchsorted(np.cumsum(heldout.lengths), _MAX_TOKENS)) + 1
    rows = np.argsort(heldout.lengths[:count], kind="stable")
    batches, start = [], 0
    while start < len(rows):
        size = max(1, _BATCH_TOKENS // int(heldout.lengths[rows[start]]))
        ids, mask = heldout.batch(rows[start : start + size], padding)
        batches.append((ids.to(device), mask.to(device)))
        start += size
    last = [teacher(ids, mask).last.float() for ids, mask in batches]
    pooled = torch.cat([pool(states, mask, pooling) for states, (_, mask) in zip(last, batches, strict=True)])
    return Reference(batches=batches, last=last, pooled=F.normalize(pooled, dim=-1))


@torch.no_grad()
def measure_fidelity(student: StateReader, reference: Reference, pooling: str) -> dict[str, float]:
    """Cosine to the teacher of last hidden states and of pooled vectors (means), and neighbour agreement.

    The last is the share of chunks whose nearest other chunk is the same for student and teacher.
    """
    cosine = tokens = 0.0
    pooled = []
    for (ids, mask), target in zip(reference.batches, reference.last, strict=True):
        last = student(ids, mask).last.float()
        cosine += float((F.cosine_similarity(last, target, dim=-1) * mask).sum())
        tokens += float(mask.sum())
        pooled.append(pool(last, mask, pooling))
    own = F.normalize(torch.cat(pooled), dim=-1)
    agreement = (_nearest(own) == _nearest(reference.pooled)).float().mean()
    return {
        "hidden_cosine": cosine / tokens,
        "pooled_cosine": float((own * reference.pooled).sum(-1).mean()),
        "neighbour_agreement": float(agreement),
    }


def _nearest(vectors: torch.Tensor) -> torch.Tensor:
    similarity = vectors @ vectors.T
    similarity.fill_diagonal_(-torch.inf)
    return similarity.argmax(1)
