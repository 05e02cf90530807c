"""What stands in front of a model's texts, and how its token states become a vector: as the model's
own files say.

A prompt is a habit that a model was trained into. Put before the texts of another it is noise.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from distill.models import LoadedModel
from distill.models.loading import sentence_folder
from distill.models.sentence import read_sentence_files
from distill.recipe import EvaluationSection, Prefixes, TeacherSection
from distill.recipe.model_reference import OWN_MODELS
from distill.runtime.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorForm:
    """How a model's sentence vectors are made."""

    prefixes: Prefixes
    pooling: str


def vector_form(
    name: str,
    model: LoadedModel,
    *,
    section: EvaluationSection,
    teacher: TeacherSection,
    is_reference: bool,
) -> VectorForm:
    """The teacher's form for a model that is made from it; else what the recipe says of the model,
    or its own files, and of the reference the teacher section. Where nothing is said there is no
    prompt, and pooling is the teacher's.
    """
    if name in OWN_MODELS:
        return VectorForm(
            prefixes=section.prompts.get(name, teacher.prefixes), pooling=teacher.pooling
        )
    prompts, pooling = _own_form(getattr(model.tokenizer, "name_or_path", ""))
    if name in section.prompts:
        prompts = section.prompts[name]
    elif prompts is None:
        prompts = teacher.prefixes if is_reference else Prefixes()
    is_known = pooling in ("mean", "cls") and not is_reference
    return VectorForm(prefixes=prompts, pooling=str(pooling) if is_known else teacher.pooling)


def _own_form(location: str) -> tuple[Prefixes | None, str | None]:
    """Prompts and pooling by the files of a folder or of the Hub; None where they say nothing."""
    if not location:
        return None, None
    with suppress(UserError, OSError, ValueError):  # of a model in memory there may be no files
        found = read_sentence_files(sentence_folder(location, "main"))
        said = found.prompts
        passage = said.get("passage", said.get("document", ""))
        return (
            Prefixes(query=said.get("query", ""), passage=passage) if said else None,
            found.pooling,
        )
    return None, None
