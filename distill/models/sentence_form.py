"""How an encoder's states become sentence vectors: what its files say, and what a recipe adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from distill.models.after_pooling import AfterPooling, read_after_pooling
from distill.models.loading import sentence_folder
from distill.models.sentence import SentenceFiles, as_files_say, read_sentence_files
from distill.recipe import Prefixes, TeacherSection
from distill.runtime.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SentenceForm:
    """How an encoder's states become vectors."""

    pooling: str = "mean"
    after: AfterPooling = field(default_factory=AfterPooling)
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What stands in front of a text, by the kind of text."""
    default_prompt: str | None = None
    length: int | None = None
    """How many tokens of a text are read, where fewer than the encoder could."""
    lower_case: bool = False
    """Whether text is lower-cased before the tokenizer sees it, which a trimmed folder alone can
    say.
    """
    is_declared: bool = False
    """Whether the model's own files say it, so that sentence-transformers loads them."""


def teacher_form(teacher: TeacherSection) -> SentenceForm:
    """The teacher's, by its section and what that leaves out, by its files. Raises UserError if
    these cannot be read.
    """
    folder = sentence_folder(teacher.model, teacher.revision)
    files = read_sentence_files(folder)
    said = as_files_say(teacher, files)
    return SentenceForm(
        pooling=said.pooling,
        after=read_after_pooling(folder, files, said.dimensions),
        prompts=_prompts(files, said.prefixes),
        default_prompt=files.default_prompt,
        length=files.length,
        lower_case=files.lower_case,
        is_declared=files.pooling is not None,
    )


def declared_form(model: str, revision: str = "main") -> SentenceForm | None:
    """What a model's own files say; None where they say nothing. Raises UserError if it cannot be
    carried.
    """
    folder = sentence_folder(model, revision)
    files = read_sentence_files(folder)
    if files.pooling is None:
        return None
    if files.refused:
        raise UserError(f"{model} {files.refused[0]}.", key="teacher.model")
    return teacher_form(TeacherSection(model=model, revision=revision))


def form_of_section(teacher: TeacherSection) -> SentenceForm:
    """What a section alone says."""
    return SentenceForm(
        pooling=teacher.pooling,
        after=AfterPooling(dimensions=teacher.dimensions),
        prompts=_prompts(SentenceFiles(), teacher.prefixes),
    )


def _prompts(files: SentenceFiles, prefixes: Prefixes) -> dict[str, str]:
    """The files' prompts, with those for search under the names that callers use: `encode_query`
    and `encode_document`, and mteb, know no other.
    """
    named = {"query": prefixes.query, "document": prefixes.passage}
    others = {name: prompt for name, prompt in files.prompts.items() if name not in named}
    if "passage" in others:
        others["passage"] = prefixes.passage
    return named | others
