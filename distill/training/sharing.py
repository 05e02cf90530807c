"""One batch over several processes: rows go in; sums of gradients, and vectors of the whole batch,
come out.

A loss is a sum over tokens, over masked pieces or over rows of the batch. Each process weighs what
its own rows give by their share of the whole batch, so that the sum over processes is the loss, and
the gradient, that one process alone would have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist


def own_rows(count: int, processes: int) -> list[int]:
    """How many of `count` rows each process takes: those of the first processes may be one more."""
    return [len(part) for part in np.array_split(np.arange(count), processes)]


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its sum over processes, in one exchange."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat(
        [parameter.grad.flatten() for parameter in trained if parameter.grad is not None]
    )
    dist.all_reduce(flat)
    start = 0
    for parameter in trained:
        assert parameter.grad is not None
        parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()


def sum_values(values: torch.Tensor) -> torch.Tensor:
    """The sum over processes of each value."""
    summed = values.clone()
    dist.all_reduce(summed)
    return summed


class GatherRows(torch.autograd.Function):
    """The rows of every process after one another, [all rows, D], from each one's own [rows, D];
    gradients flow back.
    """

    @staticmethod
    def forward(ctx: Any, own_BD: torch.Tensor, counts: list[int], index: int) -> torch.Tensor:
        """`counts` says how many rows each process has."""
        ctx.counts, ctx.index = counts, index
        padded = own_BD.new_zeros(max(counts), own_BD.shape[1])
        padded[: len(own_BD)] = own_BD
        gathered = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(gathered, padded)
        return torch.cat([rows[:count] for rows, count in zip(gathered, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Every process's loss depends on every row: its gradient is the sum of theirs."""
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        start = sum(ctx.counts[: ctx.index])
        return gradient[start : start + ctx.counts[ctx.index]], None, None
