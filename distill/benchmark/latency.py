"""Latency of one forward pass, models interleaved: round after round each model runs once, so that a machine whose speed
drifts drifts for all of them alike, and their ratio holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MIN_ROUNDS, MAX_ROUNDS, WARM_UP_ROUNDS = 5, 200, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Under what a latency is measured."""

    device: str
    threads: int | None
    """CPU threads; None on a GPU."""
    batch_size: int
    length: int
    """Tokens a sequence."""


@torch.inference_mode()
def measure_latencies(
    models: Mapping[str, PreTrainedModel], setting: Setting, seconds: float, seed: int = 0
) -> dict[str, np.ndarray]:
    """Milliseconds of each forward pass of each model, over interleaved rounds for about `seconds`."""
    random = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, model in models.items():
        model.to(setting.device)
        shape = (setting.batch_size, setting.length)
        ids = torch.randint(0, model.config.vocab_size, shape, generator=random).to(setting.device)
        inputs[name] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    times: dict[str, list[float]] = {name: [] for name in models}
    names = list(models)
    with _threads(setting.threads):
        for _ in range(WARM_UP_ROUNDS):
            for name in names:
                _forward_ms(models[name], inputs[name], setting.device)
        started = time.monotonic()
        for round_number in range(MAX_ROUNDS):
            if round_number >= MIN_ROUNDS and time.monotonic() - started > seconds:
                break
            turn = round_number % len(names)  # nobody always runs behind the same neighbour
            for name in names[turn:] + names[:turn]:
                times[name].append(_forward_ms(models[name], inputs[name], setting.device))
    return {name: np.array(milliseconds) for name, milliseconds in times.items()}


def _forward_ms(model: PreTrainedModel, inputs: dict[str, torch.Tensor], device: str) -> float:
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        model(**inputs)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))
    started = time.perf_counter()
    model(**inputs)
    return (time.perf_counter() - started) * 1000.0


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
