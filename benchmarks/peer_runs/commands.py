"""Commands that are timed, and how much memory they take."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process_memory import proportional_memory

CHEAP_SECONDS = 120
"""What takes no longer is run three times."""


class FailedError(Exception):
    """A sentence on why a step came to nothing."""


def repeated(action: Callable[[], tuple[float, int]]) -> dict[str, Any]:
    """Median seconds and largest memory of an action, run three times where it is cheap."""
    runs = [action()]
    while len(runs) < 3 and runs[0][0] <= CHEAP_SECONDS:
        runs.append(action())
    return {
        "seconds": statistics.median(seconds for seconds, _ in runs),
        "runs": len(runs),
        "peak_memory_bytes": max(memory for _, memory in runs),
    }


def run(command: list[Any], log: Path, minutes: float) -> tuple[float, int]:
    """Seconds that a command took, and the most memory that it and its children had; its output is
    in `log`. Raises FailedError.
    """
    environment = {
        **os.environ,
        "HF_HOME": str(log.parent / "cache"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "true"),
    }
    if command[0] != sys.executable:
        environment.pop("PYTHONPATH", None)  # a peer has its environment's packages alone
    words, peak = [str(word) for word in command], 0
    with log.open("w", encoding="utf-8") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=log.parent
        )
        while process.poll() is None:
            peak = max(peak, proportional_memory(process.pid))
            if time.monotonic() - started > 60 * minutes:
                stop(process)
                raise FailedError(f"It did not end within {minutes:g} minutes.")
            time.sleep(0.1)
        seconds = time.monotonic() - started
    if process.returncode:
        told = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        last = next((line for line in reversed(told) if line), "it says nothing")
        raise FailedError(f"{Path(words[1]).stem} {words[2]} failed: {last}")
    return seconds, peak


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with its children."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()
