"""What stands in front of a model's texts, and how its token states become a vector: as the model's
own files say.

A prompt is a habit that a model was trained into. Put before the texts of another it is noise.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from distill.models import LoadedModel
from distill.models.after_pooling import AfterPooling, read_after_pooling
from distill.models.loading import sentence_folder
from distill.models.pooling import POOLINGS
from distill.models.sentence import SentenceFiles, read_sentence_files
from distill.models.sentence_form import SentenceForm
from distill.recipe import EvaluationSection, Prefixes, TeacherSection
from distill.recipe.model_reference import OWN_MODELS
from distill.runtime.errors import UserError


@dataclass(frozen=True, kw_only=True)
class VectorForm:
    """How a model's sentence vectors are made."""

    prefixes: Prefixes
    pooling: str
    after: AfterPooling = field(default_factory=AfterPooling)
    length: int | None = None
    """How many tokens of a text are read, where fewer than the encoder could."""
    refused: str | None = None
    """Why they cannot be made."""


def vector_form(
    name: str,
    model: LoadedModel,
    *,
    section: EvaluationSection,
    teacher: TeacherSection,
    is_reference: bool,
    of_teacher: SentenceForm | None = None,
) -> VectorForm:
    """The teacher's form for a model that is made from it, `of_teacher` but for what its section
    says; else what the recipe says of the model, or its own files, and of the reference the teacher
    section. Where nothing is said there is no prompt, and pooling is the teacher's.
    """
    if name in OWN_MODELS:
        form = of_teacher or SentenceForm()
        return VectorForm(
            prefixes=section.prompts.get(name, teacher.prefixes),
            pooling=teacher.pooling,
            after=form.after,
            length=form.length,
        )
    files, after = _own_form(getattr(model.tokenizer, "name_or_path", ""))
    if name in section.prompts:
        prompts = section.prompts[name]
    elif files.prompts:
        prompts = Prefixes(query=files.query, passage=files.passage)
    else:
        prompts = teacher.prefixes if is_reference else Prefixes()
    is_said = is_reference and "pooling" in teacher.model_fields_set
    is_known = files.pooling in POOLINGS and not is_said
    return VectorForm(
        prefixes=prompts,
        pooling=str(files.pooling) if is_known else teacher.pooling,
        after=after,
        length=files.length,
        refused=files.refused[0] if files.refused else None,
    )


def _own_form(location: str) -> tuple[SentenceFiles, AfterPooling]:
    """What the files of a folder or of the Hub say; nothing where there are none."""
    if location:
        with suppress(UserError, OSError, ValueError):  # of a model in memory there may be no files
            folder = sentence_folder(location, "main")
            files = read_sentence_files(folder)
            return files, read_after_pooling(folder, files)
    return SentenceFiles(), AfterPooling()
