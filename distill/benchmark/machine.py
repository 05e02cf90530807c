"""The machine that figures were taken on: what they depend on, in words and numbers."""

from __future__ import annotations

import platform
from pathlib import Path

from distill.report.results.benchmark import Machine

_CPUINFO = Path("/proc/cpuinfo")
_INSTRUCTIONS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "BF16": {"avx512_bf16"},
    "AMX": {"amx_tile"},
}
"""What a processor's products are computed with, and the flags of Linux that tell it."""


def describe_machine() -> Machine:
    """Processor, cores, memory, GPU, and the versions of the libraries that compute."""
    import onnxruntime
    import psutil
    import torch
    import transformers

    return Machine(
        processor=describe_processor(_CPUINFO.read_text() if _CPUINFO.is_file() else ""),
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        onnxruntime=onnxruntime.__version__,
    )


def describe_processor(cpuinfo: str) -> str:
    """Name and vector instructions: processors of one name differ severalfold by these.

    `cpuinfo` is what Linux tells of each core, a blank line between them; elsewhere it is empty.
    """
    first_core = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    told = {key.strip(): value.strip() for key, _, value in first_core}
    flags = set(told.get("flags", "").split())
    name = told.get("model name") or platform.processor() or platform.machine()
    return " ".join([name, *(word for word, tell in _INSTRUCTIONS.items() if tell & flags)])
