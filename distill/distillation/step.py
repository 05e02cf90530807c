"""One optimiser step: the rows of a batch become gradients, summed over parts and processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from distill.distillation.criterion import Criterion
from distill.distillation.states import States
from distill.runtime.batching import split_rows
from distill.runtime.processes import Processes
from distill.training.batches import Batch, Masking
from distill.training.chunks import Chunks
from distill.training.gradients import Gradients
from distill.training.sharing import GatherRows, own_rows, sum_gradients, sum_values


class Backward:
    """Forward and backward over a batch, in parts that memory has room for, on one process or
    several.
    """

    def __init__(
        self,
        criterion: Criterion,
        chunks: Chunks,
        masking: Masking,
        *,
        padding: int,
        device: torch.device,
        processes: Processes,
        read_teacher: Callable[[Batch, np.ndarray], States] | None = None,
    ) -> None:
        """`read_teacher` gives the teacher's states of rows where they were computed before."""
        self._criterion, self._chunks, self._masking = criterion, chunks, masking
        self._padding, self._device, self._processes = padding, device, processes
        self._read_teacher = read_teacher or (lambda batch, rows: criterion.read_teacher(batch))
        self._weights = criterion.section.objectives.weights

    def prepare(self, rows: np.ndarray, epoch: int) -> list[tuple[np.ndarray, Batch]]:
        """The batch of `rows` in parts that go through the models at once."""
        parts = split_rows(rows, self._chunks.lengths, self._criterion.section.micro_batch_tokens)
        batches = (self._masking.batch(self._chunks, part, self._padding, epoch) for part in parts)
        return [
            (part, batch.ready_for(self._device))
            for part, batch in zip(parts, batches, strict=True)
        ]

    def __call__(
        self,
        prepared: list[tuple[np.ndarray, Batch]],
        *,
        stop: bool = False,
        due: bool = False,
    ) -> Gradients:
        """Add the gradients of the batch to the parameters'."""
        processes, criterion, batches = self._processes, self._criterion, prepared
        counts = [criterion.counts(batch) for _, batch in batches]
        totals = {name: sum(count[name] for count in counts) for name in self._weights}
        measured: list[tuple[str, torch.Tensor, float]] = []
        for (part, batch), counted in zip(batches, counts, strict=True):
            of_batch = {name: counted[name] / max(1.0, totals[name]) for name in self._weights}
            batch, part, sizes, shares = self._share_out(batch, part, of_batch, totals)
            losses = self._values(batch.to(self._device), part, sizes)
            criterion.total_loss(losses, shares).backward()  # type: ignore[no-untyped-call]
            measured += [(name, loss.detach(), shares[name]) for name, loss in losses.items()]
        if processes.count > 1:
            sum_gradients(criterion.trained.parameters())
            measured, stop, due = self._sum(measured, stop, due)
        return Gradients(
            losses=measured,
            weights=self._weights,
            tokens=int(sum(batch.tokens for _, batch in batches)),
            stop=stop,
            due=due,
        )

    def _sum(
        self, measured: list[tuple[str, torch.Tensor, float]], stop: bool, due: bool
    ) -> tuple[list[tuple[str, torch.Tensor, float]], bool, bool]:
        """The same over all processes, each objective once."""
        values = dict.fromkeys(self._weights, torch.zeros((), device=self._device))
        for name, loss, share in measured:
            values[name] = values[name] + loss.float() * share
        flags = torch.tensor([float(stop), float(due)], device=self._device)
        summed = sum_values(torch.cat([torch.stack([*values.values()]), flags]))
        stops, dues = summed[-2:].tolist()
        losses = [(name, summed[at], 1.0) for at, name in enumerate(values)]
        return losses, stops > 0, dues > 0

    def _share_out(
        self, batch: Batch, rows: np.ndarray, of_batch: dict[str, float], totals: dict[str, float]
    ) -> tuple[Batch, np.ndarray, list[int], dict[str, float]]:
        """The rows of a part that this process takes, the rows of each process, and the share of
        each value.

        With fewer rows than processes each computes them all.
        """
        processes, criterion = self._processes, self._criterion
        sizes = own_rows(len(rows), processes.count)
        if not min(sizes):
            return (
                batch,
                rows,
                [],
                {key: share / processes.count for key, share in of_batch.items()},
            )
        start = sum(sizes[: processes.index])
        mine = slice(start, start + sizes[processes.index])
        batch, rows = batch.part(mine), rows[mine]
        counted = criterion.counts(batch)
        shares = {
            # Every process has the vectors of all rows, so each gives its share of what relates
            # them.
            objective.key: of_batch[objective.key] / processes.count
            if objective.scope == "batch"
            else counted[objective.key] / max(1.0, totals[objective.key])
            for objective in criterion.objectives
        }
        return batch, rows, sizes, shares

    def _values(self, batch: Batch, rows: np.ndarray, sizes: list[int]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            teacher = self._read_teacher(batch, rows)
        student = self._criterion.read_student(batch)
        if self._processes.count == 1 or not sizes:
            return self._criterion.values(student, teacher, batch)
        index = self._processes.index

        def gather(vectors: torch.Tensor) -> torch.Tensor:
            rows = GatherRows.apply(vectors.contiguous(), sizes, index)  # type: ignore[no-untyped-call]
            return rows  # type: ignore[no-any-return]

        return self._criterion.values(student, teacher, batch, gather)
