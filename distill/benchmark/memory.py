"""Peak memory of a process that loads a model and runs it: measured in a fresh process, since memory once taken stays.

    python -m distill.benchmark.memory FOLDER BATCHxLENGTH...

writes a JSON object: for each shape, the most memory (resident bytes) that the process held until then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

Shape = tuple[int, int]


def peak_memory(folder: Path, shapes: Sequence[Shape]) -> dict[Shape, int]:
    """Peak resident bytes of a fresh process for each (batch size, length), model and libraries included.

    Raises RuntimeError, with its last words, if the process fails.
    """
    arguments = [f"{batch}x{length}" for batch, length in shapes]
    command = [sys.executable, "-m", "distill.benchmark.memory", str(folder), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError((process.stderr.strip() or "it said nothing").splitlines()[-1])
    measured = json.loads(process.stdout)
    return {shape: measured[argument] for shape, argument in zip(shapes, arguments, strict=True)}


def _measure(folder: str, arguments: Sequence[str]) -> dict[str, int]:
    import torch

    from distill.teacher import load_model

    model = load_model(folder)
    for parameter in model.parameters():
        parameter.sum()  # weights are mapped from the file, and without this only the few rows that are looked up would count
    shapes = {argument: tuple(map(int, argument.split("x"))) for argument in arguments}
    peaks: dict[str, int] = {}
    # The peak only ever rises, so the small shapes go first.
    for argument, (batch, length) in sorted(shapes.items(), key=lambda item: item[1][0] * item[1][1]):
        ids = torch.zeros((batch, length), dtype=torch.long)
        with torch.inference_mode():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        peaks[argument] = _peak_resident_bytes()
    return peaks


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's getrusage would count what the parent held when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], sys.argv[2:])))
