"""The distillation stage: documents, the trimmed teacher and the initial student go in; model/ and history.json come out.

While it runs, its folder also holds the encoded chunks and the last checkpoint; both go when the student is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.distillation.chunks import Chunks, open_chunks, write_chunks
from distill.distillation.loop import Log, distil
from distill.interruption import Interruption
from distill.progress import Progress
from distill.recipe import DistillationSection, TeacherSection
from distill.teacher import Teacher
from distill.teacher.loading import position_limit
from distill.teacher.saving import save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HELDOUT_DOCUMENTS = 500
"""Fidelity along the way is measured on the first of the held-out documents; more would only be encoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationResult:
    """How the student was trained."""

    tokens: int
    steps: int
    seconds: float
    tokens_per_second: float
    final_loss: float | None
    """Exponential average of the loss over the last steps."""
    objectives: dict[str, float]
    """The weight of each objective."""
    precision: str
    epochs: float
    """How often the training text was read."""
    resumed_from: int | None
    fidelity: list[dict[str, float]]


def run(
    section: DistillationSection,
    *,
    teacher: Teacher,
    teacher_section: TeacherSection,
    student: PreTrainedModel,
    layers: Sequence[int],
    texts: Iterable[str],
    heldout: Iterable[str],
    seed: int,
    output: Path,
    interruption: Interruption,
    progress: Progress,
    log: Log,
) -> DistillationResult:
    """Train `student` to imitate `teacher` on `texts` and save it to `output`, going on from what `output` already holds."""
    prefixes = list(dict.fromkeys([teacher_section.prefixes.query, teacher_section.prefixes.passage]))
    longest = min(teacher.tokenizer.model_max_length, position_limit(student))

    def prepare(name: str, texts: Iterable[str], draw: int) -> Chunks:
        folder = output / name
        if (folder / "offsets.npy").is_file():
            return open_chunks(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with progress.task(f"distillation: encoding {name} text", unit="documents") as task:
            return write_chunks(
                _advancing(texts, task.advance),
                teacher.tokenizer,
                folder,
                prefixes=prefixes,
                chunk_words=section.chunk_words,
                longest=longest,
                seed=draw,
            )

    chunks = prepare("train", texts, seed)
    state = distil(
        student,
        teacher.model,
        layers=layers,
        chunks=chunks,
        heldout=prepare("heldout", islice(heldout, HELDOUT_DOCUMENTS), seed + 1),
        section=section,
        pooling=teacher_section.pooling,
        seed=seed,
        checkpoint=output / "checkpoint",
        interruption=interruption,
        progress=progress,
        log=log,
    )
    save_model(student.to("cpu").eval(), teacher.tokenizer, output / "model")
    (output / "history.json").write_text(
        json.dumps({"losses": state.history, "fidelity": state.fidelity}) + "\n", encoding="utf-8"
    )
    result = DistillationResult(
        tokens=state.tokens,
        steps=state.step,
        seconds=state.seconds,
        tokens_per_second=state.tokens / state.seconds if state.seconds else 0.0,
        final_loss=state.loss,
        objectives={name: weight for name, weight in section.objectives.model_dump().items() if weight},
        precision=state.precision,
        epochs=state.tokens / int(chunks.offsets[-1]),
        resumed_from=state.resumed_from,
        fidelity=state.fidelity,
    )
    for scaffold in ("train", "heldout", "checkpoint"):
        shutil.rmtree(output / scaffold, ignore_errors=True)
    return result


def _advancing(texts: Iterable[str], advance: Any) -> Iterable[str]:
    for text in texts:
        yield text
        advance(1)
