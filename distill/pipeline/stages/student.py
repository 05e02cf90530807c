"""The student stage: the trimmed teacher becomes a smaller model that has not learnt yet."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from distill.pipeline.run import Run
from distill.pipeline.stages.stage import Stage
from distill.report.results.student import StudentResult, TeacherFigures

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.models import LoadedModel


def depends_on(run: Run) -> dict[str, object]:
    """An existing model's files, and what pruning draws and recovers by."""
    from distill.models import model_identity

    section = run.recipe.student
    needed: dict[str, object] = {}
    if section.model:
        needed["model"] = model_identity(section.model, section.revision, run.hashes)
    if (
        section.config is not None
        or section.hidden_size is not None
        or section.intermediate_size is not None
    ):
        needed["seed"] = run.recipe.seed
        if section.pruning.recover_tokens:
            needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def execute(run: Run, output: Path) -> StudentResult:
    """The smaller model, before it learns."""
    from distill.models import load_with_tokenizer
    from distill.student.build import build_student, describe_model

    section, trimmed = run.recipe.student, _without_dropped_head(run, run.load("trimmed"))
    geometry = asdict(describe_model(run.teacher.model))
    described = TeacherFigures(name=run.recipe.teacher.model, **geometry)
    return build_student(
        section,
        trimmed=trimmed,
        teacher=described,
        texts=run.texts("train"),
        output=output,
        seed=run.recipe.seed,
        progress=run.progress,
        recover=lambda student, layers, step: _recover(
            run, trimmed, student, layers, output / f"recovery-{step}"
        ),
        existing=load_with_tokenizer(section.model, section.revision) if section.model else None,
        untrimmed_vocabulary=run.teacher.tokenizer.get_vocab(),
    )


def _without_dropped_head(run: Run, trimmed: LoadedModel) -> LoadedModel:
    """The trimmed teacher as the student begins: with its head, unless the recipe drops it."""
    from distill.models import LoadedModel
    from distill.models.task_heads import head_of, without_head

    head = head_of(trimmed.model)
    if head is None:
        return trimmed
    if run.recipe.student.head == "keep":
        run.progress.say(f"student: the teacher's head ({head.words}) is kept")
        return trimmed
    run.progress.say(f"student: the teacher's head ({head.words}) is dropped")
    return LoadedModel(model=without_head(trimmed.model), tokenizer=trimmed.tokenizer)


def _recover(
    run: Run, trimmed: LoadedModel, student: PreTrainedModel, layers: list[int], folder: Path
) -> None:
    """A little distillation between two steps of pruning."""
    from distill.distillation.loop import Pair
    from distill.distillation.train import distil_student

    section = run.recipe.distillation.model_copy(
        update={
            "tokens": run.recipe.student.pruning.recover_tokens,
            "minutes": None,
            "validations": 0,
            "patience": None,
        }
    )
    pair = Pair(
        student=student,
        teacher=trimmed.model,
        tokenizer=trimmed.tokenizer,
        layers=layers,
        pooling=run.recipe.teacher.pooling,
        after=run.sentence_form.after,
        of_pairs=run.reads_pairs,
    )
    distil_student(
        section,
        pair=pair,
        prefixes=run.recipe.teacher.prefixes.distinct,
        texts=run.learnt("train"),
        heldout=run.learnt("heldout"),
        output=folder,
        runtime=run.runtime.alone(),
    )
    shutil.rmtree(folder)


STAGE = Stage(
    name="student",
    revision=1,
    reads=("corpus", "vocabulary"),
    depends_on=depends_on,
    result=StudentResult,
    execute=execute,
    resumable=True,
)
