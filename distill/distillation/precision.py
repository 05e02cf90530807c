"""Which arithmetic the matrix products run in: measured on the device at hand, because hardware differs sixfold."""

from __future__ import annotations

import time

import torch

_SIDE, _REPEATS, _WORTHWHILE = 1024, 5, 1.3


def matmul_seconds(device: torch.device, dtype: torch.dtype) -> float:
    """Best time of one 1024 x 1024 x 1024 matrix product."""
    left = torch.ones(_SIDE, _SIDE, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(_REPEATS + 1):  # the first one warms up
        started = time.perf_counter()
        product = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
        del product
    return best


def choose_precision(wanted: str, device: torch.device) -> str:
    """The precision as wanted, or under "auto" whichever of bfloat16 and float32 the device multiplies faster in."""
    if wanted != "auto":
        return wanted
    gain = matmul_seconds(device, torch.float32) / matmul_seconds(device, torch.bfloat16)
    return "bfloat16" if gain >= _WORTHWHILE else "float32"
