"""A student distilled on the card for some minutes, scored there, and its weights in parts that
travel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.steps import Keep, Setting
from distill.distillation.loop import Pair, distil
from distill.evaluation.embedding import embed
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PART_BYTES = 15_000_000
PARTS = "student-{:02d}.safetensors"


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Distil, score teacher, initial and final student, and write the weights to the output."""
    teacher = bundle.teacher()
    student = bundle.student(teacher)
    initial = {name: weight.detach().clone() for name, weight in student.named_parameters()}
    given = bundle.manifest.distillation
    if setting.rehearsal:
        given = {**given, "tokens": 4096, "minutes": None, "batch_tokens": 1024, "validations": 0}
    section = DistillationSection.model_validate(given)
    if not setting.rehearsal:
        score(bundle, "teacher", teacher, keep, setting)
        score(bundle, "initial", student, keep, setting)
    with tempfile.TemporaryDirectory() as folder:
        state = distil(
            Pair(
                student=student,
                teacher=teacher,
                tokenizer=bundle.tokenizer,
                layers=bundle.manifest.layers,
                pooling=bundle.manifest.pooling,
            ),
            bundle.chunks("train", 100_000 if setting.rehearsal else None),
            bundle.chunks("heldout", 2048 if setting.rehearsal else None),
            section,
            checkpoint=Path(folder) / "checkpoint",
            runtime=Runtime(device_name=setting.device),
        )
    keep(
        what="distillation",
        tokens=state.tokens,
        steps=state.step,
        seconds=state.seconds,
        tokens_per_second=state.tokens / state.seconds,
        precision=state.precision,
        final_loss=state.loss,
        epochs=state.tokens / bundle.manifest.tokens,
        best_step=state.best_step,
        skipped_batches=len(state.skipped),
        fidelity=state.fidelity,
    )
    student = student.to("cpu")
    write_weights(student, initial, setting.output)
    score(bundle, "student", student, keep, setting)


def score(bundle: Bundle, name: str, model: PreTrainedModel, keep: Keep, setting: Setting) -> None:
    """MRR@10 of the bundle's retrieval tasks, without fine-tuning, in float32."""
    model = model.to(setting.device, torch.float32).eval()
    prefixes = bundle.manifest.prefixes
    for task, rows in bundle.tasks.items():
        count = 20 if setting.rehearsal else len(rows.queries)
        queries, passages = (
            embed(
                model,
                bundle.tokenizer,
                [prefix + text for text in texts],
                pooling=bundle.manifest.pooling,
                longest=bundle.longest,
            )
            for prefix, texts in (
                (prefixes["query"], rows.queries[:count]),
                (prefixes["passage"], rows.passages),
            )
        )
        ranks = ranks_by_vectors(queries, passages, np.array(rows.answers[:count]))
        value = float(reciprocal_ranks(ranks).mean())
        keep(what="score", model=name, task=task, metric="mrr@10", value=value, rows=count)


def write_weights(
    student: PreTrainedModel, initial: Mapping[str, torch.Tensor], output: Path
) -> None:
    """Write the weights that training changed to `output`, in half precision and in parts; an
    embedding matrix is cut by rows.
    """
    parts: list[dict[str, torch.Tensor]] = [{}]
    used = 0
    for name, weight in student.named_parameters():
        if torch.equal(weight, initial[name]):
            continue
        half = weight.detach().half().contiguous()
        rows = max(1, PART_BYTES // (half[0].numel() * 2))
        for start in range(0, len(half), rows):
            piece = half[start : start + rows].clone()
            if used + piece.nbytes > PART_BYTES and parts[-1]:
                parts.append({})
                used = 0
            parts[-1][f"{name}@{start}"] = piece
            used += piece.nbytes
    for number, part in enumerate(parts):
        save_file(part, output / PARTS.format(number))


def read_weights(student: PreTrainedModel, folder: Path) -> None:
    """Put the weights of `write_weights` into the initial `student`. Raises ValueError if there are
    none.
    """
    parameters = dict(student.named_parameters())
    paths = sorted(folder.glob(PARTS.replace("{:02d}", "*")))
    if not paths:
        raise ValueError(f"{folder} has no weights of a student")
    for path in paths:
        for key, piece in load_file(path).items():
            name, start = key.rsplit("@", 1)
            with torch.no_grad():
                parameters[name][int(start) : int(start) + len(piece)] = piece.float()
