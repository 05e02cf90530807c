"""The inspection stage: what each layer of every model knows of language and meaning."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import describe_baselines, teacher_section
from distill.pipeline.stages.stage import Stage
from distill.report.results.inspection import InspectionResult


def depends_on(run: Run) -> dict[str, object]:
    """The sentences' files, and local baselines' files."""
    from distill.inspection.sentences import describe_sentences

    section = run.recipe.inspection
    assert section is not None
    return {
        "seed": run.recipe.seed,
        "language": run.recipe.language,
        "teacher": teacher_section(run),
        "sentences": describe_sentences(section.sentences_path, section.languages, run.hashes),
        "baselines": describe_baselines(run, section.models),
    }


def execute(run: Run, output: Path) -> InspectionResult:
    """What each layer knows of language and meaning."""
    from distill.inspection.inspect import inspect_models
    from distill.models import model_identity

    def identify(name: str) -> dict[str, object]:
        # Initial and untrained have one folder.
        return {
            "name": name,
            "files": model_identity(str(run.model_folder(name)), "main", run.hashes),
        }

    section = run.recipe.inspection
    assert section is not None
    result = inspect_models(
        section,
        load=run.load,
        identify=identify,
        teacher_section=run.recipe.teacher,
        kept=section.kept or run.recipe.languages[0],
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        interruption=run.interruption,
    )
    for model in result.models:
        for row in model.layers:
            measured = {name: value for name, value in asdict(row).items() if name != "layer"}
            run.tracker.log(
                {f"{model.model}/{name}": value for name, value in measured.items()}, row.layer
            )
    return result


STAGE = Stage(
    name="inspection",
    revision=1,
    reads=("vocabulary", "student", "distillation"),
    depends_on=depends_on,
    result=InspectionResult,
    execute=execute,
    resumable=True,
)
