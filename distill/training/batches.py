"""Batches as models see them: token ids, padding, and which pieces are masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.recipe import DistillationSection
from distill.training.chunks import Chunks
from distill.training.masking import mask_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Chunks as the models see them; each tensor is [B, L]."""

    ids: torch.Tensor
    """Masked where pieces are to be predicted."""
    mask: torch.Tensor
    """1 where a token stands, 0 on padding."""
    labels: torch.Tensor
    """The ids before masking."""
    chosen: torch.Tensor
    """Whether the piece is to be predicted."""
    is_full: bool
    """Whether there is no padding: only then does torch take its fastest attention kernel."""
    types: torch.Tensor | None = None
    """Of pairs, of which text each token is, where the tokenizer says so."""

    @property
    def attention_mask(self) -> torch.Tensor | None:
        """The mask that models need; finding out on the device that they need none would wait."""
        return None if self.is_full else self.mask

    def part(self, rows: slice) -> Batch:
        """Some of the rows."""
        return Batch(
            ids=self.ids[rows],
            mask=self.mask[rows],
            labels=self.labels[rows],
            chosen=self.chosen[rows],
            is_full=self.is_full,
            types=None if self.types is None else self.types[rows],
        )

    def to(self, device: torch.device) -> Batch:
        """The same on a device, where pinned memory gets to without waiting."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def ready_for(self, device: torch.device) -> Batch:
        """The same; for a GPU in memory that it reads by itself."""
        return self._map(torch.Tensor.pin_memory) if device.type == "cuda" else self

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        ids = change(self.ids)
        return Batch(
            ids=ids,
            mask=change(self.mask),
            labels=ids if self.labels is self.ids else change(self.labels),
            chosen=change(self.chosen),
            is_full=self.is_full,
            types=None if self.types is None else change(self.types),
        )

    @property
    def tokens(self) -> float:
        """How many tokens stand in it."""
        return float(self.mask.sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class Masking:
    """How pieces are masked: with a share of 0 none is."""

    share: float
    mask_id: int
    special_ids: frozenset[int]
    vocabulary_size: int
    seed: int

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        section: DistillationSection,
        vocabulary_size: int,
        seed: int,
    ) -> Masking:
        """The recipe's masking with the tokenizer's mask piece."""
        return cls(
            share=section.masking if section.objectives.masked else 0.0,
            mask_id=-1 if tokenizer.mask_token_id is None else tokenizer.mask_token_id,
            special_ids=frozenset(tokenizer.all_special_ids),
            vocabulary_size=min(vocabulary_size, len(tokenizer)),
            seed=seed,
        )

    def batch(self, chunks: Chunks, rows: np.ndarray, padding: int, epoch: int) -> Batch:
        """The rows of `chunks`, masked as they are in that epoch whatever batch they are in."""
        ids, mask = chunks.batch(rows, padding)
        types = chunks.batch_types(rows)
        is_full = bool(mask.all())
        if not self.share:
            chosen = torch.zeros_like(mask, dtype=torch.bool)
            return Batch(
                ids=ids, mask=mask, labels=ids, chosen=chosen, is_full=is_full, types=types
            )
        masked, chosen = mask_pieces(
            ids,
            mask,
            rows=rows.tolist(),
            share=self.share,
            mask_id=self.mask_id,
            special_ids=self.special_ids,
            vocabulary_size=self.vocabulary_size,
            seed=self.seed,
            epoch=epoch,
        )
        return Batch(ids=masked, mask=mask, labels=ids, chosen=chosen, is_full=is_full, types=types)
