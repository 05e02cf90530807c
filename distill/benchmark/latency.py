"""Latency of one forward pass, models interleaved: round after round each runs once, so that a
machine whose speed drifts drifts for all of them alike, and their ratio holds.

A forward pass comes in as a function that does it once and returns the milliseconds that it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.onnx.encoder import OnnxEncoder
    from distill.openvino.encoder import OpenvinoEncoder

MIN_ROUNDS, MAX_ROUNDS, WARM_UP_ROUNDS = 5, 200, 2
OVERTIME_SECONDS = 30.0
"""How much longer than asked for the least rounds may take; after that, so few that they are timed
at all.
"""
OVERTIME_ROUNDS = 2

Pass = Callable[[], float]
"""Does one forward pass and returns its milliseconds."""
Key = TypeVar("Key")


def measure_latencies(passes: Mapping[Key, Pass], seconds: float) -> dict[Key, np.ndarray]:
    """Milliseconds of each pass, over interleaved rounds for about `seconds`, after rounds that
    only warm up.
    """
    times: dict[Key, list[float]] = {name: [] for name in passes}
    names = list(passes)
    started = time.monotonic()
    for _ in range(WARM_UP_ROUNDS):
        for name in names:
            passes[name]()
        if time.monotonic() - started > seconds:
            break  # passes that long are warm after one
    started = time.monotonic()
    for round_number in range(MAX_ROUNDS):
        elapsed = time.monotonic() - started
        least = MIN_ROUNDS if elapsed <= seconds + OVERTIME_SECONDS else OVERTIME_ROUNDS
        if round_number >= least and elapsed > seconds:
            break
        turn = round_number % len(names)  # nobody always runs behind the same neighbour
        for name in names[turn:] + names[:turn]:
            times[name].append(passes[name]())
    return {name: np.array(milliseconds) for name, milliseconds in times.items()}


def torch_pass(model: PreTrainedModel, batch_size: int, length: int) -> Pass:
    """A forward pass of the model's bare encoder, on the device that it is on, over random ids and
    without padding.
    """
    encoder, device = model.base_model, next(model.parameters()).device
    ids = torch.from_numpy(random_ids(model.config.vocab_size, batch_size, length)).to(device)
    mask = torch.ones_like(ids)

    @torch.inference_mode()
    def run() -> float:
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            encoder(input_ids=ids, attention_mask=mask)
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end))
        started = time.perf_counter()
        encoder(input_ids=ids, attention_mask=mask)
        return (time.perf_counter() - started) * 1000.0

    return run


def encoder_pass(
    encoder: OnnxEncoder | OpenvinoEncoder, vocab_size: int, batch_size: int, length: int
) -> Pass:
    """A forward pass of a file of ONNX Runtime or OpenVINO, over the same random ids."""
    ids = random_ids(vocab_size, batch_size, length)
    mask = np.ones_like(ids)

    def run() -> float:
        started = time.perf_counter()
        encoder(ids, mask)
        return (time.perf_counter() - started) * 1000.0

    return run


def random_ids(vocab_size: int, batch_size: int, length: int) -> np.ndarray:
    """Token ids, batch x length, the same for every model of that vocabulary."""
    return np.random.default_rng(0).integers(0, vocab_size, (batch_size, length), dtype=np.int64)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Torch on so many threads as long as the block runs; None leaves it as it is."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
