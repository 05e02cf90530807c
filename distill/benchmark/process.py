"""What only a fresh process shows: how long a model takes to load, and its peak memory.

    python -m distill.benchmark.process RUNTIME PATH BATCHxLENGTH...

writes a JSON object: the milliseconds until all weights were in memory, and for each shape the most
memory (resident bytes) that the process held until then. PATH is a model's folder, or for a runtime
of ONNX or OpenVINO the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.onnx.encoder import OnnxEncoder
    from distill.openvino.encoder import OpenvinoEncoder

Shape = tuple[int, int]
"""Batch size and length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What a fresh process needed."""

    load_ms: float
    """Until all weights were in memory, libraries imported before."""
    peaks: dict[Shape, int]
    """Most resident bytes, model and libraries included, until a batch of that shape was
    through.
    """


def measure_footprint(runtime: str, path: Path, shapes: Sequence[Shape]) -> Footprint:
    """Load the model in a fresh process and run a batch of every shape.

    Raises RuntimeError, with its last words, if the process fails.
    """
    arguments = [f"{batch}x{length}" for batch, length in shapes]
    command = [sys.executable, "-m", "distill.benchmark.process", runtime, str(path), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError((process.stderr.strip() or "it said nothing").splitlines()[-1])
    measured = json.loads(process.stdout.splitlines()[-1])
    peaks = {
        shape: measured["peaks"][argument]
        for shape, argument in zip(shapes, arguments, strict=True)
    }
    return Footprint(load_ms=measured["load_ms"], peaks=peaks)


def _measure(runtime: str, path: str, arguments: Sequence[str]) -> dict[str, object]:
    load = _load_torch if runtime.startswith("torch") else _load_encoder
    load_ms, forward = load(runtime, path)
    shapes = {argument: tuple(map(int, argument.split("x"))) for argument in arguments}
    peaks: dict[str, int] = {}
    # The peak only ever rises, so the small shapes go first.
    for argument, (batch, length) in sorted(
        shapes.items(), key=lambda item: item[1][0] * item[1][1]
    ):
        forward(batch, length)
        peaks[argument] = _peak_resident_bytes()
    return {"load_ms": load_ms, "peaks": peaks}


def _load_torch(runtime: str, path: str) -> tuple[float, Callable[[int, int], object]]:
    import torch

    from distill.models import load_config, load_model
    from distill.models.loading import auto_class

    with torch.device("meta"):  # imports the architecture's code, which is no part of loading
        auto_class(load_config(path)).from_config(load_config(path))
    started = time.perf_counter()
    model = load_model(path, dtype="bfloat16" if runtime == "torch_bfloat16" else "float32")
    for parameter in model.parameters():
        # Weights are mapped from the file: without this only the rows that are looked up would
        # count.
        parameter.sum()
    load_ms = (time.perf_counter() - started) * 1000.0

    def forward(batch: int, length: int) -> object:
        ids = torch.zeros((batch, length), dtype=torch.long)
        with torch.inference_mode():
            return model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))

    return load_ms, forward


def import_runtime(runtime: str) -> None:
    """Import what runs a file, which is no part of loading it."""
    import_module("onnxruntime" if runtime.startswith("onnx") else "openvino")


def open_encoder(
    runtime: str, path: Path, threads: int | None = None
) -> OnnxEncoder | OpenvinoEncoder:
    """The encoder of a file of ONNX Runtime or OpenVINO."""
    if runtime.startswith("onnx"):
        from distill.onnx.encoder import OnnxEncoder

        return OnnxEncoder(path, threads)
    from distill.openvino.encoder import OpenvinoEncoder

    return OpenvinoEncoder(path, threads)


def _load_encoder(runtime: str, path: str) -> tuple[float, Callable[[int, int], object]]:
    import numpy as np

    import_runtime(runtime)
    started = time.perf_counter()
    encoder = open_encoder(runtime, Path(path))
    load_ms = (time.perf_counter() - started) * 1000.0

    def forward(batch: int, length: int) -> object:
        ids = np.zeros((batch, length), dtype=np.int64)
        return encoder(ids, np.ones_like(ids))

    return load_ms, forward


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's getrusage would count what the parent held when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], sys.argv[2], sys.argv[3:])) + "\n")
