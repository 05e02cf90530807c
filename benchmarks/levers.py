"""What a small budget is best spent on besides its objective: batches, learning rates, chunks.

    DISTILL_DATA=... .venv/bin/python benchmarks/levers.py      300k tokens an arm, two minutes each

distils six of the teacher's layers on the quickstart's newsreels once per arm, from one seed, and
measures retrieval without fine-tuning: on the Swedish SQuAD's dev paragraphs, by which an arm is
chosen, and on the quickstart's questions, which choose nothing. Writes
benchmarks/results/levers.json after every arm, and goes on with those that are missing.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from setting import RESULTS, answers_found, cut, newsreels, read_tasks, trimmed_teacher
from transformers import PreTrainedModel

from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.distillation.loop import Pair, distil
from distill.evaluation.embedding import embed
from distill.models import LoadedModel
from distill.recipe import DistillationSection, Source
from distill.runtime.progress import Progress, silence_libraries
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from distill.training.chunks import Chunks

RESULT = RESULTS / "levers.json"
LAYERS = [2, 4, 6, 8, 10, 12]
SETTINGS: dict[str, Any] = {
    "objectives": {"hidden": 1.0},
    "tokens": 300_000,
    "batch_tokens": 1024,
    "learning_rate": 1e-3,
    "validations": 1,
    "checkpoint_seconds": 1e9,
}
Rows = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Questions, each one's answer, and all passages."""


@dataclass(frozen=True)
class Arm:
    """What differs from the settings above."""

    changes: dict[str, Any] = field(default_factory=dict)
    chunk_words: tuple[int, int] = (8, 64)
    frozen: bool = False
    """Whether the embedding table stays as it is."""


ARMS = {
    "batches of 1,024 tokens": Arm(),
    "512": Arm({"batch_tokens": 512}),
    "256": Arm({"batch_tokens": 256}),
    "512, learning rate 2e-3": Arm({"batch_tokens": 512, "learning_rate": 2e-3}),
    "512, embeddings frozen": Arm({"batch_tokens": 512}, frozen=True),
    "1,024, chunks of 3 to 64 words": Arm(chunk_words=(3, 64)),
    "512, 1.4M tokens": Arm({"batch_tokens": 512, "tokens": 1_400_000}),
}


def main() -> None:
    """Distil what is missing; print and keep the results."""
    silence_libraries()
    films = newsreels()
    training = [film for number, film in enumerate(films) if number % 100]
    teacher = trimmed_teacher(training)
    tasks = {"squad": read_squad(), "faq": read_faq()}
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else provenance(SETTINGS)
    arms = kept.setdefault("arms", {})
    if "teacher" not in arms:
        arms["teacher"] = measure(teacher, tasks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heldout = cut(films[::100], teacher, folder / "heldout")

        @cache
        def chunks_of(low: int, high: int) -> Chunks:
            return cut(training, teacher, folder / f"chunks-{low}-{high}", (low, high))

        for arm_name, arm in ARMS.items():
            if arm_name not in arms:
                chunks = chunks_of(*arm.chunk_words)
                arms[arm_name] = run_arm(arm, teacher, chunks, heldout, tasks)
                RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
                print(arm_name, arms[arm_name], flush=True)


def run_arm(
    arm: Arm, teacher: LoadedModel, chunks: Chunks, heldout: Chunks, tasks: dict[str, Rows]
) -> dict[str, float]:
    """Fidelity and retrieval of one student."""
    student = keep_layers(teacher.model, LAYERS)
    if arm.frozen:
        student.get_input_embeddings().weight.requires_grad_(False)
    return taught(student, LAYERS, teacher, chunks, heldout, SETTINGS | arm.changes, tasks)


def taught(
    student: PreTrainedModel,
    layers: list[int],
    teacher: LoadedModel,
    chunks: Chunks,
    heldout: Chunks,
    settings: dict[str, Any],
    tasks: dict[str, Rows],
) -> dict[str, float]:
    """Distil a student in place; its speed, fidelity and retrieval."""
    pair = Pair(
        student=student,
        teacher=teacher.model,
        tokenizer=teacher.tokenizer,
        layers=layers,
        pooling="mean",
    )
    with tempfile.TemporaryDirectory() as folder:
        state = distil(
            pair,
            chunks,
            heldout,
            DistillationSection(**settings),
            checkpoint=Path(folder) / "checkpoint",
            runtime=Runtime(progress=Progress(), seed=0),
        )
    fidelity = {key: value for key, value in state.fidelity[-1].items() if key != "tokens"}
    trained = LoadedModel(model=student, tokenizer=teacher.tokenizer)
    rate = state.tokens / state.seconds
    return {
        "tokens": state.tokens,
        "tokens a second": rate,
        **fidelity,
        **measure(trained, tasks),
    }


def read_faq() -> Rows:
    """The quickstart's questions."""
    tasks = read_tasks()
    return tasks.questions, tasks.answers, list(dict.fromkeys(tasks.answers))


def read_squad() -> Rows:
    """Every fourth question to every other paragraph."""
    source = Source(path=f"{os.environ['DISTILL_DATA']}/sv/tasks/squad_sv/dev.jsonl.gz")
    rows = [
        tuple(column_value(row, column, source) for column in "qa")
        for row in read_source(source, Tally())
    ]
    passages = list(dict.fromkeys(answer for _, answer in rows))[::2]
    kept = set(passages)
    chosen = [row for row in rows if row[1] in kept][::4]
    return [question for question, _ in chosen], [answer for _, answer in chosen], passages


def measure(model: LoadedModel, tasks: dict[str, Rows]) -> dict[str, float]:
    """MRR@10 of each task among its answers, in bfloat16, which takes a third of the time."""
    network = model.model.float().eval()

    def vectors(prefix: str, texts: Sequence[str]) -> np.ndarray:
        prefixed = [prefix + text for text in texts]
        with torch.autocast("cpu", torch.bfloat16):
            return embed(network, model.tokenizer, prefixed, pooling="mean", longest=256)

    return {f"{name} mrr@10": answers_found(*rows, vectors) for name, rows in tasks.items()}


if __name__ == "__main__":
    main()
