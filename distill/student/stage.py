"""The student stage: the trimmed teacher goes in; the initial student, before any training, comes out in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.recipe import StudentSection
from distill.student.depth import choose_layers, keep_layers
from distill.student.width import narrow
from distill.teacher import Teacher
from distill.teacher.saving import save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentResult:
    """The student's architecture, and the teacher's beside it."""

    parameters: int
    embedding_parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    vocabulary_size: int
    teacher_layers: list[int]
    """The teacher layers, counted from 1, that the student's layers began as."""
    teacher: dict[str, Any]
    """The same figures of the untrimmed teacher, and its name."""


def run(
    section: StudentSection, *, trimmed: Teacher, teacher: dict[str, Any], texts: Iterable[str], output: Path
) -> StudentResult:
    """Build the student from the trimmed teacher and save it to `output`.

    `teacher` describes the untrimmed teacher; `texts` are of the language, an example for tracing the architecture.
    """
    layers = choose_layers(section.layers, trimmed.model.config.num_hidden_layers)
    batch = trimmed.tokenizer(list(islice(texts, 4)), padding=True, truncation=True, max_length=64, return_tensors="pt")
    student = narrow(
        keep_layers(trimmed.model, layers),
        hidden_size=section.hidden_size,
        intermediate_size=section.intermediate_size,
        example=(batch["input_ids"], batch["attention_mask"]),
    )
    save_model(student, trimmed.tokenizer, output / "model")
    return StudentResult(**describe_model(student), teacher_layers=layers, teacher=teacher)


def describe_model(model: PreTrainedModel) -> dict[str, int]:
    """Parameters and geometry of a model, by the names of report.json."""
    embedding = model.get_input_embeddings().weight
    return {
        "parameters": model.num_parameters(),
        "embedding_parameters": embedding.numel(),
        "layers": model.config.num_hidden_layers,
        "hidden_size": model.config.hidden_size,
        "intermediate_size": getattr(model.config, "intermediate_size", None) or model.config.hidden_dim,
        "vocabulary_size": embedding.shape[0],
    }
