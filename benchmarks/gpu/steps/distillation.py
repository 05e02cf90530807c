"""Students distilled on the card for some minutes, scored there, and their weights in parts that
travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.steps import Keep, Setting
from benchmarks.gpu.steps.students import Recipe, train, vectors_of
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PART_BYTES = 15_000_000
PARTS = "{}-{:02d}.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One student and how it learns."""

    recipe: Recipe = field(default_factory=Recipe)
    section: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the bundle's section."""


LARGE = {"batch_tokens": 32_768, "checkpoint_seconds": 25.0}
STUDENTS = {
    "balanced": Planned(section={**LARGE, "learning_rate": 1.5e-3}),
    "tiny": Planned(
        recipe=Recipe(layers=4, embedding_size=128),
        section={**LARGE, "learning_rate": 2e-3},
    ),
}


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Distil each student, score it beside its teacher, and write its weights to the output."""
    score(bundle, "teacher", bundle.teacher(), keep, setting)
    for name in [setting.only] if setting.only else STUDENTS:
        planned = STUDENTS[name]
        teacher = bundle.teacher()
        student = planned.recipe.student(bundle, teacher)
        initial = {key: weight.detach().clone() for key, weight in student.named_parameters()}
        score(bundle, f"{name}, untrained", student, keep, setting)
        section = {**bundle.manifest.distillation, **planned.section}
        if setting.rehearsal:
            tiny = {"tokens": 2048, "minutes": None, "batch_tokens": 1024, "validations": 0}
            section |= tiny
        state = train(bundle, student, teacher, planned.recipe, section, setting)
        keep(
            what="distillation",
            student=name,
            section=section,
            parameters=sum(weight.numel() for weight in student.parameters()),
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
        write_weights(name, student.to("cpu"), initial, setting.output)
        score(bundle, name, student, keep, setting)


def score(bundle: Bundle, name: str, model: PreTrainedModel, keep: Keep, setting: Setting) -> None:
    """MRR@10 of the bundle's retrieval tasks, without fine-tuning, in float32."""
    for task, rows in bundle.tasks.items():
        if setting.rehearsal:
            rows = rows.first(20)
        ranks = ranks_by_vectors(*vectors_of(bundle, model, rows, setting), np.array(rows.answers))
        value, count = float(reciprocal_ranks(ranks).mean()), len(ranks)
        keep(what="score", model=name, task=task, metric="mrr@10", value=value, rows=count)


def write_weights(
    name: str, student: PreTrainedModel, initial: Mapping[str, torch.Tensor], output: Path
) -> None:
    """Write the weights that training changed to `output`, in half precision and in parts; an
    embedding matrix is cut by rows.
    """
    parts: list[dict[str, torch.Tensor]] = [{}]
    used = 0
    for key, weight in student.named_parameters():
        if torch.equal(weight, initial[key]):
            continue
        half = weight.detach().half().contiguous()
        rows = max(1, PART_BYTES // (half[0].numel() * 2))
        for start in range(0, len(half), rows):
            piece = half[start : start + rows].clone()
            if used + piece.nbytes > PART_BYTES and parts[-1]:
                parts.append({})
                used = 0
            parts[-1][f"{key}@{start}"] = piece
            used += piece.nbytes
    for number, part in enumerate(parts):
        save_file(part, output / PARTS.format(name, number))


def read_weights(name: str, student: PreTrainedModel, folder: Path) -> None:
    """Put the weights of `write_weights` into the initial `student`. Raises ValueError if there are
    none.
    """
    parameters = dict(student.named_parameters())
    paths = sorted(folder.glob(f"{name}-*.safetensors"))
    if not paths:
        raise ValueError(f"{folder} has no weights of a student {name}")
    for path in paths:
        for key, piece in load_file(path).items():
            parameter, start = key.rsplit("@", 1)
            with torch.no_grad():
                rows = slice(int(start), int(start) + len(piece))
                parameters[parameter][rows] = piece.float()
