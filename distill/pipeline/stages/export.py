"""The export stage: the student becomes a folder that is ready for the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from distill.pipeline.run import Run
from distill.pipeline.stages.stage import Stage
from distill.report.results.export import ExportResult


def depends_on(run: Run) -> dict[str, object]:
    """The recipe as it was written, which is handed over as well."""
    return {"recipe": run.file.text, "overrides": run.file.overrides}


def execute(run: Run, output: Path) -> ExportResult:
    """The folder that is handed over."""
    from distill.export.handover import export_student
    from distill.report.model import plain

    changes = "".join(f"# --set {override}\n" for override in run.file.overrides)
    result = export_student(
        run.recipe.export,
        student=run.load("student"),
        teacher_section=run.recipe.teacher,
        form=run.sentence_form,
        trimmed=run.load("trimmed") if run.recipe.export.asymmetric else None,
        report=plain(run.report),
        recipe_text=changes + run.file.text,
        sentences=run.judging_sentences(),
        path=Path(os.path.relpath(run.folder / "export")),
        output=output,
    )
    run.progress.warn(result.warnings)
    return result


STAGE = Stage(
    name="export",
    revision=5,
    reads=(
        "corpus",
        "vocabulary",
        "student",
        "distillation",
        "evaluation",
        "benchmark",
        "inspection",
    ),
    depends_on=depends_on,
    result=ExportResult,
    execute=execute,
)
