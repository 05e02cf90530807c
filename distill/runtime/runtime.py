"""What every long function works with besides its input: display, signals, processes, seed,
device.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from distill.runtime.interruption import Interruption
from distill.runtime.processes import Processes
from distill.runtime.progress import Progress

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where progress is shown, whether a stop was requested, who computes, and from which seed."""

    progress: Progress = field(default_factory=lambda: Progress(quiet=True))
    interruption: Interruption = field(default_factory=Interruption)
    processes: Processes = field(default_factory=lambda: Processes(alone=True))
    seed: int = 0
    device_name: str | None = None
    """A torch device such as `cpu` or `cuda:0`; None takes the one of this process."""

    @cached_property
    def device(self) -> torch.device:
        """The device that this process computes on."""
        if self.device_name is None:
            return self.processes.device
        import torch

        return torch.device(self.device_name)

    def alone(self) -> Runtime:
        """The same for work that this process does by itself, whatever the launch."""
        return replace(self, processes=Processes(alone=True))
