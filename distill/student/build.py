"""The student stage: the trimmed teacher goes in; the initial student comes out in a folder.

It is cut from the teacher's own layers and pruned in steps, or has a config of its own, or is an
existing model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from distill.models import LoadedModel
from distill.models.saving import save_model
from distill.recipe import StudentSection
from distill.report.results.student import Geometry, StudentResult, TeacherFigures
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.student.custom import adopt_model, build_custom, corresponding_layers
from distill.student.depth import choose_layers, keep_layers
from distill.student.factorised import factorise_embeddings
from distill.student.pruning import Recover, prune_in_steps, remove_steps
from distill.student.width import feed_forward_size

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_COUNTED_TEXTS = 5000
"""Enough to know the frequent pieces."""


def build_student(
    section: StudentSection,
    *,
    trimmed: LoadedModel,
    teacher: TeacherFigures,
    texts: Iterable[str],
    output: Path,
    seed: int = 0,
    progress: Progress | None = None,
    recover: Recover | None = None,
    existing: LoadedModel | None = None,
    untrimmed_vocabulary: Mapping[str, int] | None = None,
) -> StudentResult:
    """Build the student from the trimmed teacher and save it to `output`, going on from the pruning
    steps found there.

    `teacher` describes the untrimmed teacher; `texts` are of the language, to trace the
    architecture and rank its units with; `recover` trains a student in place after each pruning
    step. `existing` is the model that the section names, and `untrimmed_vocabulary` the untrimmed
    teacher's pieces with their ids, by which it may be trimmed. Raises UserError if such a model or
    a config does not fit the teacher.
    """
    teacher_layers = trimmed.model.config.num_hidden_layers
    if section.model is not None:
        if existing is None:
            raise ValueError(f"student.model is {section.model}, and it was not loaded")
        student = adopt_model(existing, trimmed=trimmed, untrimmed_vocabulary=untrimmed_vocabulary)
        layers = corresponding_layers(student.config.num_hidden_layers, teacher_layers)
    elif section.config is not None:
        try:
            student = build_custom(
                section.config, trimmed.model, weights=section.weights, seed=seed
            )
        except ValueError as error:
            raise UserError(f"student.config: {error}.") from error
        layers = corresponding_layers(student.config.num_hidden_layers, teacher_layers)
    else:
        layers = choose_layers(section.kept_layers, teacher_layers)
        student = keep_layers(trimmed.model, layers)
        if section.hidden_size is not None or section.intermediate_size is not None:
            student = prune_in_steps(
                student,
                trimmed.tokenizer,
                section,
                layers=layers,
                texts=texts,
                seed=seed,
                progress=progress or Progress(quiet=True),
                recover=recover,
                output=output,
            )
        if section.embedding_size is not None:
            counts = count_pieces(texts, trimmed)
            student = factorise_embeddings(student, section.embedding_size, counts)
    save_model(student, trimmed.tokenizer, output / "model")
    remove_steps(output)
    return StudentResult(**asdict(describe_model(student)), teacher_layers=layers, teacher=teacher)


def count_pieces(texts: Iterable[str], trimmed: LoadedModel) -> torch.Tensor:
    """How often each piece stands in the first of the texts, float32 [V]."""
    import torch

    ids = trimmed.tokenizer(list(islice(texts, _COUNTED_TEXTS)), verbose=False)["input_ids"]
    pieces = torch.tensor(list(chain.from_iterable(ids)), dtype=torch.int64)
    return torch.bincount(pieces, minlength=trimmed.model.config.vocab_size).float()


def describe_model(model: PreTrainedModel) -> Geometry:
    """Parameters and geometry of a model."""
    embedding = model.get_input_embeddings().weight
    return Geometry(
        parameters=model.num_parameters(),
        embedding_parameters=embedding.numel(),
        layers=model.config.num_hidden_layers,
        hidden_size=model.config.hidden_size,
        intermediate_size=feed_forward_size(model.config),
        vocabulary_size=embedding.shape[0],
    )
