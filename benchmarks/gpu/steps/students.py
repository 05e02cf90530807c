"""Students of the bundle's teacher: how they are made, trained and read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.gpu.bundle import Bundle, Retrieval
from benchmarks.gpu.steps import Setting
from distill.distillation.loop import Pair, distil
from distill.evaluation.embedding import embed
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime
from distill.student.depth import choose_layers, keep_layers
from distill.student.factorised import factorise_embeddings
from distill.training.checkpoints import LoopState

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a student looks like."""

    layers: int = 6
    embedding_size: int | None = None
    """Width of a factorised embedding matrix; None keeps the teacher's."""
    frozen: bool = False
    """Whether the pieces' vectors stay the teacher's."""

    def chosen(self, teacher: PreTrainedModel) -> list[int]:
        """The teacher's layers that it copies, counted from 1; as many as a small teacher has."""
        layers: int = teacher.config.num_hidden_layers
        return choose_layers(min(self.layers, layers), layers)

    def student(self, bundle: Bundle, teacher: PreTrainedModel) -> PreTrainedModel:
        """The initial student."""
        student = keep_layers(teacher, self.chosen(teacher))
        if self.embedding_size is not None:
            size = min(self.embedding_size, teacher.config.hidden_size // 2)
            student = factorise_embeddings(student, size, bundle.counts)
        student.get_input_embeddings().requires_grad_(not self.frozen)
        return student


def train(
    bundle: Bundle,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    recipe: Recipe,
    section: Mapping[str, Any],
    setting: Setting,
) -> LoopState:
    """Distil the student in place, by a section of a recipe."""
    with tempfile.TemporaryDirectory() as folder:
        return distil(
            Pair(
                student=student,
                teacher=teacher,
                tokenizer=bundle.tokenizer,
                layers=recipe.chosen(teacher),
                pooling=bundle.manifest.pooling,
            ),
            bundle.chunks("train", 100_000 if setting.rehearsal else None),
            bundle.chunks("heldout", 2048 if setting.rehearsal else None),
            DistillationSection.model_validate(section),
            checkpoint=Path(folder) / "checkpoint",
            runtime=Runtime(device_name=setting.device),
        )


def vectors_of(
    bundle: Bundle, model: PreTrainedModel, task: Retrieval, setting: Setting
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of the queries and of the passages, in float32."""
    model = model.to(setting.device, torch.float32).eval()
    prefixes = bundle.manifest.prefixes
    queries, passages = (
        embed(
            model,
            bundle.tokenizer,
            [prefix + text for text in texts],
            pooling=bundle.manifest.pooling,
            longest=bundle.longest,
        )
        for prefix, texts in (
            (prefixes["query"], task.queries),
            (prefixes["passage"], task.passages),
        )
    )
    return queries, passages
