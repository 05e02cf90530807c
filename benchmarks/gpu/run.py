"""Run the steps on the machine with the card: each in a process of its own with a time limit, most
important first, its figures written as they come.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.steps import Keep, Setting

RESULTS = "results.jsonl"
STEPS = {
    "sanity": 50,
    "latency": 70,
    "throughput": 95,
    "throughput/compiled": 80,
    "latency/compiled": 45,
    "distillation/balanced": 282,
    "distillation/tiny": 285,
    "arms/learning": 285,
    "arms/shape": 285,
}
"""Seconds that each step, or part of one, may take, in this order."""
TOGETHER = ("distillation", "arms")
"""Steps whose parts run at the same time: they tell what students are worth, not how long a thing
takes.
"""
REHEARSAL_SECONDS = 120


def run(
    folder: Path,
    output: Path,
    *,
    device: str,
    rehearsal: bool,
    steps: Sequence[str],
    absent: Sequence[str] = (),
    say: Callable[[str], None],
) -> bool:
    """Run the `steps`; whether all of them ended in time and well.

    `absent` are modules whose import is forbidden, as on a machine that lacks them.
    """
    bundle = Bundle(folder)
    bundle.check()
    output.mkdir(parents=True, exist_ok=True)
    keeper(output, "machine")(**machine(device), commit=bundle.manifest.commit)
    options = ["--device", device, *(["--rehearsal"] if rehearsal else [])]
    options += [part for module in absent for part in ("--absent", module)]

    def start(name: str) -> bool:
        limit = REHEARSAL_SECONDS if rehearsal else STEPS[name]
        command = [sys.executable, "-m", "benchmarks.gpu", "step", name, str(folder), str(output)]
        began = time.monotonic()
        try:
            code = subprocess.run([*command, *options], timeout=limit, check=False).returncode
            ending = "ended" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            code, ending = 1, "reached its time limit"
        seconds = time.monotonic() - began
        keeper(output, name)(what="step", ending=ending, seconds=round(seconds, 1))
        say(f"{name}: {ending} after {seconds:.0f} s of {limit}")
        return code == 0

    good = True
    for together, names in groupby(steps, lambda name: name.split("/")[0] in TOGETHER):
        group = list(names)
        with ThreadPoolExecutor(len(group) if together and not rehearsal else 1) as pool:
            good &= all(list(pool.map(start, group)))
    return good


def run_step(
    name: str, folder: Path, output: Path, *, device: str, rehearsal: bool, absent: Sequence[str]
) -> None:
    """One step, or a part of one as in `arms/shape`, in this process."""
    for module in absent:
        sys.modules[module] = None  # type: ignore[assignment]  # whose import then fails
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    module, _, only = name.partition("/")
    step = importlib.import_module(f"benchmarks.gpu.steps.{module}")
    setting = Setting(device=device, rehearsal=rehearsal, output=output, only=only or None)
    step.run(Bundle(folder), keeper(output, name), setting)


def keeper(output: Path, step: str) -> Keep:
    """A function that appends figures to the results, and is done when they are on the disk."""

    def keep(**figures: Any) -> None:
        with (output / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step.split("/")[0], **figures}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    return keep


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured with."""
    import torch
    import transformers

    about: dict[str, Any] = {
        "what": "machine",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "device": "cpu",
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        about |= {"device": properties.name, "device_memory_bytes": properties.total_memory}
        with suppress(OSError, subprocess.CalledProcessError):
            command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
            about["driver"] = shown.stdout.strip()
    return about
