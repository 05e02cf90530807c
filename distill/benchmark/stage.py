"""The benchmark stage: models and settings go in; measurements.json comes out, a row for every model and setting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.benchmark.latency import Setting, measure_latencies
from distill.benchmark.memory import Shape, peak_memory
from distill.progress import Progress
from distill.recipe import BenchmarkSection
from distill.teacher import Teacher
from distill.teacher.loading import position_limit

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One model under one setting; times in milliseconds, sizes in bytes."""

    model: str
    device: str
    threads: int | None
    precision: str
    batch_size: int
    length: int
    median_ms: float | None
    p95_ms: float | None
    sequences_per_second: float | None
    parameters: int
    bytes_on_disk: int
    peak_memory_bytes: int | None
    reason: str | None = None
    """Why something is not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkResult:
    """Every measurement, and the machine it was taken on."""

    measurements: list[Measurement]
    machine: dict[str, Any]


def run(
    section: BenchmarkSection,
    *,
    load: Callable[[str], Teacher],
    folder_of: Callable[[str], Path],
    output: Path,
    progress: Progress,
) -> BenchmarkResult:
    """Measure every model of the section under every setting; `load` and `folder_of` give a model by name.

    A device that is not there, and a length the model has no positions for, become rows without times and with a reason.
    """
    models = {str(name): load(name).model for name in section.models}
    settings = list_settings(section)
    shapes = list(dict.fromkeys((setting.batch_size, setting.length) for setting in settings if setting.device == "cpu"))
    rows: list[Measurement] = []
    with progress.task("benchmark", total=len(models) + len(settings), unit="steps") as bar:
        peaks: dict[str, dict[Shape, int] | str] = {}
        for name in models:
            fitting = [shape for shape in shapes if shape[1] <= position_limit(models[name])]
            peaks[name] = _cpu_peaks(folder_of(name), fitting) if fitting else {}
            bar.advance(1, f"memory of {name}")
        for setting in settings:
            rows += _measure(models, setting, section.seconds, peaks, folder_of)
            bar.advance(1, f"{setting.device}, batch {setting.batch_size}, length {setting.length}")
    for model in models.values():
        model.to("cpu")
    (output / "measurements.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    return BenchmarkResult(measurements=rows, machine=describe_machine())


def list_settings(section: BenchmarkSection) -> list[Setting]:
    """The section's combinations, small ones first; threads tell settings apart on the CPU only."""
    every = torch.get_num_threads()
    threads = list(dict.fromkeys(every if count == "all" else min(count, every) for count in section.threads))
    return [
        Setting(device=device, threads=count, batch_size=batch_size, length=length)
        for device in section.devices
        for count in (threads if device == "cpu" else [None])
        for batch_size, length in product(sorted(set(section.batch_sizes)), sorted(set(section.lengths)))
    ]


def size_on_disk(folder: Path) -> int:
    """Bytes of the folder's weights and tokenizer: what somebody who uses the model has to fetch."""
    wanted = (".safetensors", ".json", ".model", ".txt")
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in wanted)


def describe_machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, memory, GPU, and the versions of the libraries that compute."""
    import platform

    import psutil
    import transformers

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _measure(
    models: dict[str, PreTrainedModel],
    setting: Setting,
    seconds: float,
    peaks: dict[str, dict[Shape, int] | str],
    folder_of: Callable[[str], Path],
) -> list[Measurement]:
    absent = setting.device == "cuda" and not torch.cuda.is_available()
    fitting = {name: model for name, model in models.items() if setting.length <= position_limit(model)}
    measured = {} if absent or not fitting else measure_latencies(fitting, setting, seconds)
    rows = []
    for name, model in models.items():
        times, reasons = measured.get(name), []
        if times is None:
            reasons.append("no CUDA device here" if absent else f"the model has no positions for {setting.length} tokens")
        peak = None
        if setting.device == "cpu":
            found = peaks[name]
            peak = None if isinstance(found, str) else found.get((setting.batch_size, setting.length))
            if isinstance(found, str):
                reasons.append(f"peak memory: {found}")
        elif times is not None:
            peak = _cuda_peak(model, setting)
        median = None if times is None else float(np.median(times))
        rows.append(
            Measurement(
                model=name,
                device=setting.device,
                threads=setting.threads,
                precision="float32",
                batch_size=setting.batch_size,
                length=setting.length,
                median_ms=median,
                p95_ms=None if times is None else float(np.quantile(times, 0.95)),
                sequences_per_second=None if median is None else setting.batch_size * 1000.0 / median,
                parameters=model.num_parameters(),
                bytes_on_disk=size_on_disk(folder_of(name)),
                peak_memory_bytes=peak,
                reason="; ".join(reasons) or None,
            )
        )
    return rows


def _cpu_peaks(folder: Path, shapes: list[Shape]) -> dict[Shape, int] | str:
    try:
        return peak_memory(folder, shapes)
    except (OSError, RuntimeError) as error:
        return str(error)


@torch.inference_mode()
def _cuda_peak(model: PreTrainedModel, setting: Setting) -> int:
    weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    others = torch.cuda.memory_allocated() - weights  # the other models lie on the device too
    torch.cuda.reset_peak_memory_stats()
    ids = torch.zeros((setting.batch_size, setting.length), dtype=torch.long, device="cuda")
    model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(torch.cuda.max_memory_allocated() - others)
