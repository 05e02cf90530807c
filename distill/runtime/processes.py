"""The processes of one run: `accelerate launch` starts several, of which the first reads, writes
and tells.

The others take part in the stages that share their work out. Without a launcher there is one, and
nothing here costs an import of torch.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

T = TypeVar("T")

_PATIENCE = timedelta(days=7)
"""How long processes wait for one another: the first may read text for hours before the others have
work.
"""


class Processes:
    """The processes of this run as one of them sees them."""

    def __init__(self, *, alone: bool = False) -> None:
        """All that the launcher started, or with `alone` this one by itself."""
        self.count, self.index = 1, 0
        if not alone and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            state = _state()
            self.count, self.index = state.num_processes, state.process_index

    @property
    def device(self) -> torch.device:
        """What this process computes on."""
        device: torch.device = _state().device
        return device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reads, writes and tells."""
        return self.index == 0

    def share(self, value: T) -> T:
        """The first process's `value`, on every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        shared: list[Any] = [value]
        broadcast_object_list(shared, from_process=0)
        return shared[0]  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            _state().wait_for_everyone()

    def close(self) -> None:
        """Part from the others, when all are done: a process that just leaves takes them down."""
        if self.count > 1:
            self.wait()
            _state().destroy_process_group()


def _state() -> PartialState:
    import torch
    from accelerate import PartialState

    # Told so, accelerate lets several processes work without a GPU, too.
    return PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
