"""How much memory this process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    pass


def memory_in_use(device: torch.device) -> int:
    """Bytes that this process holds: of the GPU's memory where it computes there, else of the
    machine's.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import psutil

    return int(psutil.Process().memory_info().rss)
