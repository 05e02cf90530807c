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
from distill.training.loop import Gradients
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

    def __call__(
        self, rows: np.ndarray, epoch: int, *, stop: bool = False, due: bool = False
    ) -> Gradients:
        """Add the gradients of the batch of `rows` to the parameters'."""
        processes, criterion = self._processes, self._criterion
        batches = [
            (part, self._masking.batch(self._chunks, part, self._padding, epoch))
            for part in self._parts(rows)
        ]
        counts = [criterion.counts(batch) for _, batch in batches]
        totals = {name: sum(count[name] for count in counts) for name in self._weights}
        measured: list[tuple[str, torch.Tensor, float]] = []
        for (part, batch), counted in zip(batches, counts, strict=True):
            of_batch = {name: counted[name] / max(1.0, totals[name]) for name in self._weights}
            batch, part, sizes, shares = self._share_out(batch, part, of_batch, totals)
            losses = self._values(batch.to(self._device), part, sizes)
            criterion.total_loss(losses, shares).backward()  # type: ignore[no-untyped-call]
            measured += [(name, loss.detach(), shares[name]) for name, loss in losses.items()]
        values = self._read(measured)
        stops, dues = float(stop), float(due)
        if processes.count > 1:
            sum_gradients(criterion.trained.parameters())
            *summed, stops, dues = sum_values([*values.values(), stops, dues], self._device)
            values = dict(zip(values, summed, strict=True))
        return Gradients(
            loss=sum(self._weights[name] * value for name, value in values.items()),
            values=values,
            tokens=int(sum(batch.tokens for _, batch in batches)),
            stop=stops > 0,
            due=dues > 0,
        )

    def _read(self, measured: list[tuple[str, torch.Tensor, float]]) -> dict[str, float]:
        """Each objective's value over all parts, read from the device at once: reading waits."""
        values = dict.fromkeys(self._weights, 0.0)
        if measured:
            losses = torch.stack([loss.float() for _, loss, _ in measured]).tolist()
            for (name, _, share), loss in zip(measured, losses, strict=True):
                values[name] += loss * share
        return values

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows in parts that go through the models at once."""
        limit = self._criterion.section.micro_batch_tokens
        return list(split_rows(rows, self._chunks.lengths, limit))

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
