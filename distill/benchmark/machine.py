"""The machine that figures were taken on: what they depend on, in words and numbers."""

from __future__ import annotations

from pathlib import Path

from distill.report.results.benchmark import Machine


def describe_machine() -> Machine:
    """Processor, cores, memory, GPU, and the versions of the libraries that compute."""
    import platform

    import onnxruntime
    import psutil
    import torch
    import transformers

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return Machine(
        processor=processor,
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        onnxruntime=onnxruntime.__version__,
    )
