"""Latency of a forward pass by model, precision, batch and length, each beside its floor on this
card.

Weights are random: they do not change the time. Models run in turns, round after round.
"""

from __future__ import annotations

import copy
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.steps import Keep, Setting
from distill.benchmark.baselines import baseline_names, find_baseline
from distill.benchmark.floor import copy_bandwidth, count_work, floor_ms, product_rate
from distill.benchmark.latency import measure_latencies, torch_pass
from distill.models.operations import matrix_parameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PRECISIONS = ("bfloat16", "float16", "float32")
BATCH_SIZES, LENGTHS = (1, 8, 32), (32, 128, 512)
COMPILED_SETTINGS = ((1, 32), (32, 128), (1, 128), (32, 512))
SECONDS = 0.6
"""For each precision, batch and length, all models together."""
XLM_R_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
XLM_R_BASE |= {"intermediate_size": 3072, "vocab_size": 250_002, "max_position_embeddings": 514}


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Time every shape at every setting, or those that are compiled."""
    device = torch.device(setting.device)
    if setting.only == "compiled":
        return measure_compiled(bundle, keep, setting)
    models = shapes(bundle, setting)
    for precision in PRECISIONS[:1] if setting.rehearsal else PRECISIONS:
        dtype = getattr(torch, precision)
        ready = {name: model.to(device=device, dtype=dtype) for name, model in models.items()}
        rate = product_rate("torch", precision, device.type, None)
        keep(what="rate", precision=precision, operations_per_second=rate)
        bandwidths = {
            name: copy_bandwidth(matrix_parameters(model) * dtype.itemsize, device.type)
            for name, model in ready.items()
        }
        lengths = [length for length in LENGTHS if length <= bundle.longest]
        settings = list(product(BATCH_SIZES, lengths))
        for batch_size, length in settings[:2] if setting.rehearsal else settings:
            measure(ready, keep, setting, precision, batch_size, length, rate, bandwidths)


def measure_compiled(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Time teacher and student as `torch.compile` makes them, replayed as CUDA graphs: a pass is
    then one launch.
    """
    trimmed = bundle.teacher()
    models = {"trimmed": trimmed, "student": bundle.student(trimmed)}
    ready = {
        name: model.eval().to(device=setting.device, dtype=torch.bfloat16)
        for name, model in models.items()
    }
    rate = product_rate("torch", "bfloat16", setting.device, None)
    bandwidths = {
        name: copy_bandwidth(matrix_parameters(model) * 2, setting.device)
        for name, model in ready.items()
    }
    if not setting.rehearsal:  # on the CPU there are no graphs to replay
        for model in ready.values():
            model.compile(mode="reduce-overhead", dynamic=False)
    for batch_size, length in COMPILED_SETTINGS[:1] if setting.rehearsal else COMPILED_SETTINGS:
        measure(ready, keep, setting, "bfloat16", batch_size, length, rate, bandwidths, True)


def measure(
    models: dict[str, PreTrainedModel],
    keep: Keep,
    setting: Setting,
    precision: str,
    batch_size: int,
    length: int,
    rate: float,
    bandwidths: dict[str, float],
    compiled: bool = False,
) -> None:
    """Time all models at one setting and keep a row for each."""
    passes = {name: torch_pass(model, batch_size, length) for name, model in models.items()}
    times = measure_latencies(passes, 0.1 if setting.rehearsal else SECONDS)
    for name, milliseconds in times.items():
        floor = floor_ms(
            count_work(models[name], batch_size, length),
            precision=precision,
            weight_rate=rate,
            attention_rate=rate,
            bandwidth=bandwidths[name],
        )
        low, median, high = np.percentile(milliseconds, [5, 50, 95])
        keep(
            what="latency",
            model=name,
            precision=precision,
            batch_size=batch_size,
            length=length,
            compiled=compiled,
            median_ms=float(median),
            p5_ms=float(low),
            p95_ms=float(high),
            passes=len(milliseconds),
            floor_ms=floor,
            times_floor=float(median) / floor,
        )


def shapes(bundle: Bundle, setting: Setting) -> dict[str, PreTrainedModel]:
    """The models by name, in eval mode; the rehearsal takes the bundle's alone."""
    from transformers import AutoModel, XLMRobertaConfig

    trimmed = bundle.teacher()
    models = {"trimmed": trimmed, "student": bundle.student(trimmed)}
    if not setting.rehearsal:
        config = copy.deepcopy(trimmed.config)
        config.vocab_size = bundle.manifest.untrimmed_pieces
        configs = {"teacher": config, "XLM-R base (shape)": XLMRobertaConfig(**XLM_R_BASE)}
        for name in baseline_names():
            if baseline := find_baseline(name):
                configs[f"{name} (shape)"] = baseline.config
        with torch.device(setting.device):  # where drawing weights takes no time
            models |= {name: AutoModel.from_config(config) for name, config in configs.items()}
    return {name: model.eval() for name, model in models.items()}
