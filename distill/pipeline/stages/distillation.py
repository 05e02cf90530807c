"""The distillation stage: the student learns from the trimmed teacher."""

from __future__ import annotations

from pathlib import Path

from distill.distillation import SCAFFOLDS
from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import teacher_section
from distill.pipeline.stages.stage import Stage
from distill.report.results.distillation import DistillationResult
from distill.report.results.student import StudentResult


def depends_on(run: Run) -> dict[str, object]:
    """How the teacher is to be used, and what is drawn."""
    return {"seed": run.recipe.seed, "teacher": teacher_section(run)}


def execute(run: Run, output: Path) -> DistillationResult:
    """The student, taught by the trimmed teacher."""
    from distill.distillation.loop import Pair
    from distill.distillation.train import distil_student

    trimmed = run.load("trimmed")
    pair = Pair(
        student=run.load("initial").model,
        teacher=trimmed.model,
        tokenizer=trimmed.tokenizer,
        layers=run.result(StudentResult).teacher_layers,
        pooling=run.recipe.teacher.pooling,
        after=run.sentence_form.after,
        of_pairs=run.reads_pairs,
    )
    return distil_student(
        run.recipe.distillation,
        pair=pair,
        prefixes=run.recipe.teacher.prefixes.distinct,
        texts=run.learnt("train"),
        heldout=run.learnt("heldout"),
        output=output,
        runtime=run.runtime,
        log=run.tracker.log if run.processes.is_first else lambda figures, step: None,
    )


STAGE = Stage(
    name="distillation",
    revision=4,
    reads=("corpus", "vocabulary", "student"),
    depends_on=depends_on,
    result=DistillationResult,
    execute=execute,
    resumable=True,
    scaffolds=SCAFFOLDS,
    shared=True,
    is_trained=True,
)
