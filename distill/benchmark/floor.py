"""The least time that a forward pass could take on the machine at hand: work and measured rates go
in; milliseconds come out.

It is the larger of two: the operations over the rate of the machine's own matrix products, in the
same arithmetic and on as many threads; and the weights, read once, over the bandwidth of a copy
(the roofline of Williams et al. 2009). What lies between it and the time measured is what better
software could still gain.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from distill.models.operations import attention_operations, matrix_parameters
from distill.runtime.precision import SIDE, matmul_seconds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SIDE_ON_GPU = 8192
"""Smaller products leave most of a GPU idle."""
_COPIES = 5
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Of a weight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a forward pass must do, of one batch."""

    weight_operations: float
    """Of activations with weights."""
    attention_operations: float
    """Of activations with activations, which stay in float32 where weights are int8."""
    weights: int
    """Numbers of the layers' matrices, each of which is read at least once."""


def count_work(model: PreTrainedModel, batch_size: int, length: int) -> Work:
    """The work of a forward pass of the model's encoder over a batch without padding."""
    weights, tokens = matrix_parameters(model), batch_size * length
    return Work(
        weight_operations=2.0 * weights * tokens,
        attention_operations=attention_operations(model, length) * tokens,
        weights=weights,
    )


def floor_ms(
    work: Work, *, precision: str, weight_rate: float, attention_rate: float, bandwidth: float
) -> float:
    """The floor in milliseconds, from rates in operations a second and a bandwidth in bytes a
    second.
    """
    computing = work.weight_operations / weight_rate + work.attention_operations / attention_rate
    reading = work.weights * BYTES[precision] / bandwidth
    return 1000.0 * max(computing, reading)


def product_rate(runtime: str, precision: str, device: str, threads: int | None) -> float:
    """Operations a second of the runtime's own matrix product, measured; torch's threads are those
    that are set.
    """
    if runtime == "torch":
        side = _SIDE_ON_GPU if device == "cuda" else SIDE
        seconds = matmul_seconds(torch.device(device), getattr(torch, precision), side)
    else:
        from distill.onnx.product import product_seconds

        side = SIDE
        seconds = product_seconds(side, int8=precision == "int8", threads=threads)
    return float(2 * side**3 / seconds)


def copy_bandwidth(working_set: int, device: str) -> float:
    """Bytes a second, read and written, of copying one half of a `working_set` of bytes to the
    other, measured.

    The working set is as large as the weights: what fits into a cache is read from there in every
    pass after the first.
    """
    source = torch.ones(max(working_set // 2, 1), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(_COPIES):  # the first one warms up
        started = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2.0 * source.nbytes / max(best, 1e-9)
