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
    from distill.distillation.train import distil_student

    return distil_student(
        run.recipe.distillation,
        teacher=run.load("trimmed"),
        teacher_section=run.recipe.teacher,
        student=run.load("initial").model,
        layers=run.records["student"].result["teacher_layers"],
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        seed=run.recipe.seed,
        output=output,
        interruption=run.interruption,
        progress=run.progress,
        log=run.tracker.log if run.processes.is_first else lambda metrics, step: None,
        processes=run.processes,
    )


STAGE = Stage(
    name="distillation",
    reads=("corpus", "vocabulary", "student"),
    depends_on=depends_on,
    execute=execute,
    resumable=True,
    shared=True,
)
