"""Under what is measured: a section goes in; every combination that it asks for comes out, small
ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch

from distill.recipe import BenchmarkSection

RUNTIMES = {
    "torch": ("torch", "float32"),
    "torch_bfloat16": ("torch", "bfloat16"),
    "onnx": ("onnx", "float32"),
    "onnx_int8": ("onnx", "int8"),
    "openvino": ("openvino", "float32"),
    "openvino_int8": ("openvino", "int8"),
}
"""What runs the model and in which precision, by what a recipe calls both."""
INT8 = "_int8"
"""What the name of a model ends with that stands for another one as ONNX in int8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrant:
    """A model in one runtime."""

    name: str
    """The model, as the report calls it."""
    subject: str
    """The model that is loaded for it."""
    runtime: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where a pass runs."""

    device: str
    threads: int | None
    """CPU threads; None on a GPU."""


def list_entrants(section: BenchmarkSection) -> list[Entrant]:
    """Every model in every runtime, each pair once; a name that ends with _int8 stands for one pair
    alone.
    """
    names = list(dict.fromkeys(section.models))
    entrants = []
    for name in names:
        if name == "student_int8":
            entrants.append(
                Entrant(name=name, subject=name.removesuffix(INT8), runtime="onnx_int8")
            )
            continue
        for runtime in dict.fromkeys(section.runtimes):
            if not (runtime == "onnx_int8" and name + INT8 in names):
                entrants.append(Entrant(name=name, subject=name, runtime=runtime))
    return entrants


def list_placements(section: BenchmarkSection) -> list[Placement]:
    """The section's devices, the CPU once for every number of threads, which those that there are
    cap.
    """
    every = torch.get_num_threads()
    threads = list(
        dict.fromkeys(every if count == "all" else min(count, every) for count in section.threads)
    )
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = [
        device for name in section.devices for device in (available if name == "all" else [name])
    ]
    return [
        Placement(device=device, threads=count)
        for device in dict.fromkeys(devices)
        for count in (threads if device == "cpu" else [None])
    ]


def list_shapes(section: BenchmarkSection) -> list[tuple[int, int]]:
    """Every (batch size, length), small ones first."""
    return list(product(sorted(set(section.batch_sizes)), sorted(set(section.lengths))))
