"""The distillation stage: documents, the trimmed teacher and the initial student go in; model/ and
history.json come out.

While it runs, its folder also holds the encoded chunks and the last checkpoint; both go when the
student is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.distillation.loop import Log, distil
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.models.saving import save_model
from distill.recipe import DistillationSection, TeacherSection
from distill.report.results.distillation import DistillationResult
from distill.runtime.interruption import Interruption
from distill.runtime.processes import Processes
from distill.runtime.progress import Progress
from distill.training.blocks import write_blocks
from distill.training.chunks import Chunks, open_chunks, write_chunks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HELDOUT_DOCUMENTS = 500
"""Fidelity along the way is measured on the first of the held-out documents; more would only be
encoded.
"""


def distil_student(
    section: DistillationSection,
    *,
    teacher: LoadedModel,
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
    processes: Processes | None = None,
) -> DistillationResult:
    """Train `student` to imitate `teacher` on `texts` and save it to `output`, going on from what
    `output` already holds.

    Every process of a launch runs this; the first reads and writes. Raises UserError if the models
    lack what an objective compares.
    """
    everyone = processes or Processes(alone=True)
    prefixes = list(
        dict.fromkeys([teacher_section.prefixes.query, teacher_section.prefixes.passage])
    )
    longest = min(teacher.tokenizer.model_max_length, position_limit(student))

    def prepare(name: str, texts: Iterable[str], draw: int) -> Chunks:
        folder = output / name
        if everyone.is_first and not (folder / "offsets.npy").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with progress.task(f"distillation: encoding {name} text", unit="documents") as task:
                advancing = _advancing(texts, task.advance)
                if words := section.words_of_chunks:
                    write_chunks(
                        advancing,
                        teacher.tokenizer,
                        folder,
                        prefixes=prefixes,
                        chunk_words=words,
                        longest=longest,
                        seed=draw,
                    )
                else:
                    write_blocks(
                        advancing,
                        teacher.tokenizer,
                        folder,
                        block_tokens=min(section.block_tokens, longest),
                    )
        everyone.wait()
        return open_chunks(folder)

    chunks = prepare("train", texts, seed)
    state = distil(
        student,
        teacher.model,
        teacher.tokenizer,
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
        processes=everyone,
    )
    if everyone.is_first:
        save_model(student.to("cpu").eval(), teacher.tokenizer, output / "model")
        (output / "history.json").write_text(
            json.dumps({"losses": state.history, "fidelity": state.fidelity}) + "\n",
            encoding="utf-8",
        )
    result = DistillationResult(
        tokens=state.tokens,
        steps=state.step,
        seconds=state.seconds,
        tokens_per_second=state.tokens / state.seconds if state.seconds else 0.0,
        final_loss=state.loss,
        objectives=section.objectives.weights,
        precision=state.precision,
        epochs=state.tokens / int(chunks.offsets[-1]),
        best_step=state.best_step,
        skipped_batches=len(state.skipped),
        processes=everyone.count,
        resumed_from=state.resumed_from,
        fidelity=state.fidelity,
    )
    if everyone.is_first:
        for scaffold in ("train", "heldout", "checkpoint", "best", "teacher"):
            shutil.rmtree(output / scaffold, ignore_errors=True)
    return result


def _advancing(texts: Iterable[str], advance: Any) -> Iterable[str]:
    for text in texts:
        yield text
        advance(1)
