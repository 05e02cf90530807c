"""A distillation for each of some settings, on as many processes as a launcher started:

python -m tests.runtime.shared_distillation TEACHER OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.conftest import swedish_sentences

SETTINGS: dict[str, dict[str, Any]] = {
    "chunks": {"chunk_words": (4, 16)},
    "chunks in micro-batches": {"chunk_words": (4, 16), "micro_batch_tokens": 100},
    "packed blocks": {
        "block_tokens": 24,
        "objectives": {"hidden": 1.0, "relations": 1.0},
    },
}
TEXTS = [" ".join(swedish_sentences(4, seed)) for seed in range(60)]


def distil_each(teacher: Path, output: Path) -> None:
    """A folder of `output` for each setting, with the losses in history.json."""
    from distill.distillation.train import distil_student
    from distill.recipe import DistillationSection
    from distill.runtime.processes import Processes
    from distill.runtime.runtime import Runtime
    from tests.distillation.pairs import tiny_pair

    processes = Processes()
    for name, setting in SETTINGS.items():
        section = {
            "objectives": {"hidden": 1.0, "relations": 0.5, "embedding": 1.0},
            "tokens": 4000,
            "batch_tokens": 256,
            "precision": "float32",
            "validations": 2,
            "checkpoint_seconds": 0.05,
        }
        (output / name).mkdir(parents=True, exist_ok=True)
        distil_student(
            DistillationSection.model_validate({**section, **setting}),
            pair=tiny_pair(teacher),
            prefixes=["query: ", "passage: "],
            texts=TEXTS,
            heldout=swedish_sentences(12, 99),
            output=output / name,
            runtime=Runtime(processes=processes),
        )
        if processes.is_first:
            (output / name / "processes").write_text(str(processes.count))
    processes.close()


if __name__ == "__main__":
    distil_each(Path(sys.argv[1]), Path(sys.argv[2]))
