"""One optimiser step: the rows of a batch go in; gradients summed over its parts and over processes
come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from distill.distillation.criterion import Criterion
from distill.distillation.states import States
from distill.runtime.batching import split_rows
from distill.runtime.processes import Processes
from distill.training.batches import Batch, Masking
from distill.training.chunks import Chunks
from distill.training.sharing import GatherRows, own_rows, sum_gradients, sum_values


@dataclass(frozen=True, kw_only=True, slots=True)
class Gradients:
    """What one batch gave; every process has the same."""

    loss: float
    values: dict[str, float]
    """Each objective before weighing."""
    tokens: int
    stop: bool
    """Whether somebody asked any of the processes to stop."""
    due: bool
    """Whether the first process wants a checkpoint."""


class Backward:
    """Forward and backward over a batch, in parts that memory has room for, on one process or
    shared out over several.
    """

    def __init__(
        self,
        criterion: Criterion,
        chunks: Chunks,
        masking: Masking,
        *,
        micro_batch_tokens: int | None,
        padding: int,
        device: torch.device,
        processes: Processes,
        read_teacher: Callable[[Batch, np.ndarray], States] | None = None,
    ) -> None:
        """`read_teacher` gives the teacher's states of rows where they were computed before."""
        self._criterion, self._chunks, self._masking = criterion, chunks, masking
        self._micro_batch_tokens, self._padding, self._device = micro_batch_tokens, padding, device
        self._processes = processes
        self._read_teacher = read_teacher or (lambda batch, rows: criterion.read_teacher(batch))

    def __call__(
        self, rows: np.ndarray, epoch: int, *, stop: bool = False, due: bool = False
    ) -> Gradients:
        """Add the gradients of the batch of `rows` to the parameters'."""
        processes, criterion = self._processes, self._criterion
        whole = [
            (part, self._masking.batch(self._chunks, part, self._padding, epoch))
            for part in split_rows(rows, self._chunks.lengths, self._micro_batch_tokens)
        ]
        totals: dict[str, float] = {}
        for _, batch in whole:
            for name, count in batch.counts.items():
                totals[name] = totals.get(name, 0.0) + count
        values: dict[str, float] = dict.fromkeys(criterion.section.objectives.weights, 0.0)
        for part, batch in whole:
            counts = own_rows(len(part), processes.count)
            shares = {name: batch.counts[name] / max(1.0, totals[name]) for name in values}
            if min(counts):
                start = sum(counts[: processes.index])
                mine = slice(start, start + counts[processes.index])
                own_batch, rows = batch.part(mine), part[mine]
                # Every process has the vectors of the whole part, so each gives its share of their
                # objective.
                whole_share = shares.get("embedding", 0.0)
                shares = {name: own_batch.counts[name] / max(1.0, totals[name]) for name in values}
                shares = shares | (
                    {"embedding": whole_share / processes.count} if "embedding" in shares else {}
                )
            else:  # fewer rows than processes: each computes them all
                own_batch, rows, counts = batch, part, []
                shares = {name: share / processes.count for name, share in shares.items()}
            found = self._values(own_batch.to(self._device), rows, counts)
            criterion.total_loss(found, shares).backward()  # type: ignore[no-untyped-call]
            for name, value in found.items():
                values[name] += float(value.detach()) * shares[name]
        asked, wanted = float(stop), float(due)
        if processes.count > 1:
            sum_gradients(criterion.trained.parameters())
            *summed, asked, wanted = sum_values([*values.values(), asked, wanted], self._device)
            values = dict(zip(values, summed, strict=True))
        weights = criterion.section.objectives.weights
        return Gradients(
            loss=sum(weights[name] * value for name, value in values.items()),
            values=values,
            tokens=int(totals["hidden"]),
            stop=asked > 0,
            due=wanted > 0,
        )

    def _values(self, batch: Batch, rows: np.ndarray, counts: list[int]) -> dict[str, torch.Tensor]:
        processes = self._processes
        with torch.no_grad():
            target = self._read_teacher(batch, rows)
        own = self._criterion.read_student(batch)
        if processes.count == 1 or not counts:
            return self._criterion.values(own, target, batch)
        return self._criterion.values(
            own,
            target,
            batch,
            lambda vectors: GatherRows.apply(vectors.contiguous(), counts, processes.index),  # type: ignore[no-untyped-call]
        )
