"""The distillation stage: the student learns from the trimmed teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import teacher_section
from distill.pipeline.stages.stage import Stage


def depends_on(run: Run) -> dict[str, Any]:
    """How the teacher is to be used, and what is drawn."""
    return {"seed": run.recipe.seed, "teacher": teacher_section(run)}


def execute(run: Run, output: Path) -> Any:
    """The student, taught by the trimmed teacher."""
    from distill.distillation.loop import Pair
    from distill.distillation.train import distil_student

    trimmed = run.load("trimmed")
    pair = Pair(
        student=run.load("initial").model,
        teacher=trimmed.model,
        tokenizer=trimmed.tokenizer,
        layers=run.records["student"].result["teacher_layers"],
        pooling=run.recipe.teacher.pooling,
    )
    return distil_student(
        run.recipe.distillation,
        pair=pair,
        prefixes=run.recipe.teacher.prefixes.distinct,
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        output=output,
        runtime=run.runtime,
        log=run.tracker.log if run.processes.is_first else lambda figures, step: None,
    )


STAGE = Stage(
    name="distillation",
    reads=("corpus", "vocabulary", "student"),
    depends_on=depends_on,
    execute=execute,
    resumable=True,
    shared=True,
)
