"""What the training loop asks of an objective: it adds the gradients of a batch to the parameters',
and tells what the batch gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Gradients:
    """What one batch gave; every process has the same."""

    losses: Sequence[tuple[str, torch.Tensor, float]]
    """Of each part of the batch: an objective's name, its value, still on the device, and the share
    of the batch that it is over.
    """
    weights: Mapping[str, float]
    """Of the objectives in the loss."""
    tokens: int
    stop: bool
    """Whether a process was asked to stop."""
    due: bool
    """Whether the first process wants a checkpoint."""

    def read(self, norm: torch.Tensor) -> tuple[dict[str, float], float]:
        """Each objective before weighting, and the gradient's norm, read at once: reading waits for
        the device.
        """
        values = dict.fromkeys(self.weights, 0.0)
        losses = [loss for _, loss, _ in self.losses]
        *read, length = torch.stack([figure.float() for figure in (*losses, norm)]).tolist()
        for (name, _, share), loss in zip(self.losses, read, strict=True):
            values[name] += loss * share
        return values, length


class AddGradients(Protocol):
    """Adds the gradients of a batch to the parameters'."""

    def prepare(self, rows: np.ndarray, epoch: int) -> Any:
        """The batch of `rows` as the call takes it; runs in a thread, beside the step before."""
        ...

    def __call__(self, prepared: Any, *, stop: bool = False, due: bool = False) -> Gradients:
        """What the batch gave; `stop` and `due` are what this process knows."""
        ...
