"""Which objectives, and which first weights, a small budget is best spent on.

    .venv/bin/python benchmarks/objectives.py               1M tokens an arm: 90 minutes here
    .venv/bin/python benchmarks/objectives.py --tokens 20M  on a GPU
    .venv/bin/python benchmarks/objectives.py --teacher FacebookAI/xlm-roberta-base

distils six of the teacher's layers on the quickstart's newsreels once per arm and seed, with the
same chunks, batches and tokens, and measures two Swedish tasks without fine-tuning and fidelity on
held-out films. The first arms differ in objectives, the later ones in first weights. Topics are
read from SIB-200, where DISTILL_DATA names a folder that has it. Writes
benchmarks/results/objectives.json after every arm, and goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from provenance import provenance
from setting import (
    RESULTS,
    TEACHER,
    cut,
    measure_tasks,
    newsreels,
    read_tasks,
    trimmed_teacher,
)

from distill.distillation.loop import Pair, distil
from distill.models import LoadedModel
from distill.models.heads import language_head
from distill.recipe import DistillationSection, parse_count
from distill.runtime.progress import Progress, silence_libraries
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers, untrained_copy
from distill.training.blocks import write_blocks
from distill.training.chunks import Chunks

RESULT = RESULTS / "objectives.json"
HELDOUT = 100
"""One in so many films is held out."""


@dataclass(frozen=True)
class Arm:
    """What one student is taught by, and what it starts from."""

    name: str
    objectives: dict[str, float]
    start: str = "every other layer"
    packed: bool = False
    """Read blocks packed from whole films instead of chunks of mixed length with the teacher's
    prefixes.
    """


HIDDEN = {"hidden": 5.0}
RELATIONS = HIDDEN | {"relations": 0.1}
EMBEDDING = RELATIONS | {"embedding": 1.0}
ARMS = (
    Arm("hidden", HIDDEN),
    Arm("hidden + relations", RELATIONS),
    Arm("hidden + relations + embedding", EMBEDDING),
    Arm("hidden + embedding", HIDDEN | {"embedding": 1.0}),
    Arm("logits + mlm", {"logits": 1.0, "mlm": 1.0}),
    Arm("hidden, packed blocks", HIDDEN, packed=True),
    Arm("first six layers", EMBEDDING, "first six layers"),
    Arm("random weights", EMBEDDING, "random weights"),
)


def main() -> None:
    """Distil what is missing; print and keep the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default=TEACHER)
    parser.add_argument("--tokens", type=parse_count, default=1_000_000, help="of each arm")
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    silence_libraries()
    films = newsreels()
    training = [film for number, film in enumerate(films) if number % HELDOUT]
    teacher = trimmed_teacher(training, options.teacher)
    tasks = read_tasks()
    kept = earlier_results(vars(options))
    kept["teacher"] = measure_tasks(teacher, tasks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = {
            False: cut(training, teacher, folder / "chunks"),
            True: pack(training, teacher, folder / "blocks"),
        }
        heldout = cut(films[::HELDOUT], teacher, folder / "heldout")
        for seed, arm in product(range(options.seeds), ARMS):
            rows: list[dict[str, Any]] = kept["arms"].setdefault(arm.name, [])
            if "logits" in arm.objectives and not has_head(teacher):
                kept["reasons"][arm.name] = "the teacher has no language-model head"
            elif seed >= len(rows):
                section = DistillationSection(
                    objectives=arm.objectives,  # type: ignore[arg-type]
                    tokens=options.tokens,
                    batch_tokens=options.batch_tokens,
                    learning_rate=options.learning_rate,
                    validations=1,
                    checkpoint_seconds=1e9,
                )
                place = folder / f"{arm.name} {seed}"
                rows.append(
                    run_arm(arm, teacher, text[arm.packed], heldout, section, seed, place)
                    | {"seed": seed}
                )
                rows[-1] |= measure_tasks(rows[-1].pop("student"), tasks)
                RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
                print(arm.name, rows[-1], flush=True)
    print(table(kept))


def run_arm(
    arm: Arm,
    teacher: LoadedModel,
    chunks: Chunks,
    heldout: Chunks,
    section: DistillationSection,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """One student with its fidelity; whatever it starts from, it imitates every other layer of the
    teacher.
    """
    depth = teacher.model.config.num_hidden_layers
    imitated = list(range(2, depth + 1, 2))
    student = keep_layers(
        teacher.model, range(1, len(imitated) + 1) if arm.start == "first six layers" else imitated
    )
    if arm.start == "random weights":
        student = untrained_copy(student, seed)
    pair = Pair(
        student=student,
        teacher=teacher.model,
        tokenizer=teacher.tokenizer,
        layers=imitated,
        pooling="mean",
    )
    state = distil(
        pair,
        chunks,
        heldout,
        section,
        checkpoint=folder / "checkpoint",
        runtime=Runtime(progress=Progress(), seed=seed),
    )
    last = {
        name: value
        for name, value in state.fidelity[-1].items()
        if name not in ("tokens", "objective")
    }
    return {
        **last,
        "seconds": round(state.seconds),
        "student": LoadedModel(model=student, tokenizer=teacher.tokenizer),
    }


def has_head(teacher: LoadedModel) -> bool:
    """Whether the teacher predicts masked pieces."""
    try:
        language_head(teacher.model)
    except ValueError:
        return False
    return True


def pack(texts: list[str], teacher: LoadedModel, folder: Path) -> Chunks:
    """The texts as blocks without padding."""
    folder.mkdir()
    return write_blocks(texts, teacher.tokenizer, folder, block_tokens=128)


def earlier_results(settings: dict[str, Any]) -> dict[str, Any]:
    """What an earlier call with the same settings has measured, or an empty result."""
    if RESULT.exists() and (kept := json.loads(RESULT.read_text()))["settings"] == settings:
        return dict(kept)
    return {**provenance(settings), "arms": {}, "reasons": {}}


def table(kept: dict[str, Any]) -> str:
    """Means over seeds, with the range where there are several."""
    columns = list(
        next(rows for rows in kept["arms"].values() if rows)[0].keys() - {"seed", "seconds"}
    )
    columns.sort(key=lambda name: name not in kept["teacher"])
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    lines.append(
        "| teacher | "
        + " | ".join(f"{kept['teacher'].get(name, 1.0):.3f}" for name in columns)
        + " |"
    )
    for arm, rows in kept["arms"].items():
        if not rows:
            lines.append(f"| {arm} | {kept['reasons'][arm]} |" + " |" * (len(columns) - 1))
            continue
        cells = []
        for name in columns:
            values = [row[name] for row in rows]
            spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
