"""What pruning by Taylor importance and in steps is worth, before any distillation.

    .venv/bin/python benchmarks/pruning.py

narrows the quickstart's teacher, all its layers kept, by weight and by Taylor importance, at once
and in steps, and measures two Swedish tasks. Topics are read from SIB-200, where DISTILL_DATA names
a folder that has it. Writes benchmarks/results/pruning.json.
"""

from __future__ import annotations

import json
import tempfile
import time
from itertools import product
from pathlib import Path

from provenance import provenance
from setting import RESULTS, measure_tasks, newsreels, read_tasks, trimmed_teacher

from distill.models import LoadedModel
from distill.recipe import StudentSection
from distill.runtime.progress import Progress, silence_libraries
from distill.student.pruning import prune_in_steps

RESULT = RESULTS / "pruning.json"
SIZES = ({"intermediate_size": 1024}, {"intermediate_size": 768}, {"hidden_size": 320})


def main() -> None:
    """Narrow, measure, print, keep."""
    silence_libraries()
    texts, tasks = newsreels(), read_tasks()
    teacher = trimmed_teacher(texts)
    kept = {**provenance({"batches": 16}), "teacher": measure_tasks(teacher, tasks), "rows": []}
    columns = list(kept["teacher"])
    print(
        f"| | importance | steps | {' | '.join(columns)} | seconds "
        f"|\n|---|---|---:|{'---:|' * len(columns)}---:|"
    )
    for sizes, importance, steps in product(SIZES, ("magnitude", "taylor"), (1, 8)):
        section = StudentSection(**sizes, pruning={"steps": steps, "importance": importance})
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            student = prune_in_steps(
                teacher.model,
                teacher.tokenizer,
                section,
                layers=[],
                texts=texts,
                seed=0,
                progress=Progress(quiet=True),
                recover=None,
                output=Path(folder),
            )
        row = {
            **sizes,
            "importance": importance,
            "steps": steps,
            "seconds": round(time.monotonic() - started, 1),
        }
        row |= measure_tasks(LoadedModel(model=student, tokenizer=teacher.tokenizer), tasks)
        kept["rows"].append(row)
        RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        size = ", ".join(f"{name} {value}" for name, value in sizes.items())
        scores = " | ".join(f"{row[column]:.3f}" for column in columns)
        print(f"| {size} | {importance} | {steps} | {scores} | {row['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
