"""Which arithmetic the matrix products run in: measured on the device at hand, because hardware
differs sixfold.
"""

from __future__ import annotations

import time

import torch

SIDE = 1024
"""Rows and columns of the matrices multiplied, unless said otherwise."""
_REPEATS, _PATIENCE, _WORTHWHILE = 6, 0.5, 1.3


def matmul_seconds(device: torch.device, dtype: torch.dtype, side: int = SIDE) -> float:
    """Best time of one product of two `side` x `side` matrices, of the few that half a second has
    room for.
    """
    # Random: products of ones take less power, and are a tenth faster on a GPU than any real ones.
    left = torch.randn(side, side, device=device).to(dtype)
    best, began = float("inf"), time.perf_counter()
    for _ in range(_REPEATS):  # the first one warms up
        if best < float("inf") and time.perf_counter() - began > _PATIENCE:
            break  # a processor without bfloat16 takes seconds for one
        started = time.perf_counter()
        product = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
        del product
    return best


def peak_rate(device: torch.device, precision: str) -> float:
    """Operations a second of the device's own matrix product in that precision, measured."""
    return float(2 * SIDE**3 / matmul_seconds(device, getattr(torch, precision)))


def choose_precision(wanted: str, device: torch.device) -> str:
    """The precision as wanted, or under "auto" whichever of bfloat16 and float32 the device
    multiplies faster in.
    """
    if wanted != "auto":
        return wanted
    gain = matmul_seconds(device, torch.float32) / matmul_seconds(device, torch.bfloat16)
    return "bfloat16" if gain >= _WORTHWHILE else "float32"
