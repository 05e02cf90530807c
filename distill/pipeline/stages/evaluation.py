"""The evaluation stage: every model is scored on every task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import (
    describe_baselines,
    describe_sources,
    teacher_section,
)
from distill.pipeline.stages.stage import Stage

if TYPE_CHECKING:
    from distill.models import LoadedModel


def depends_on(run: Run) -> dict[str, Any]:
    """The tasks' files, local baselines' files, and what scratch is trained by."""
    section = run.recipe.evaluation
    needed: dict[str, Any] = {
        "seed": run.recipe.seed,
        "teacher": teacher_section(run),
        "sources": describe_sources(source for task in section.tasks for source in task.sources),
        "baselines": describe_baselines(section.models),
    }
    if "scratch" in section.models:
        needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def execute(run: Run, output: Path) -> Any:
    """Every model's scores on the tasks."""
    from distill.evaluation.evaluate import evaluate_models
    from distill.evaluation.scratch import read_record

    def on_scores(model: str, task: str, scores: Any) -> None:
        with run.tracker.child(
            f"evaluation/{model}/{task}", {"stage": "evaluation", "model": model, "task": task}
        ):
            for score in scores:
                place = (score.setting, score.language or "average") if score.setting else ()
                name = "/".join((*place, score.metric))
                run.tracker.log(
                    {name: score.mean, f"{name}/low": score.low, f"{name}/high": score.high}
                )
                run.tracker.log(
                    {f"{name}/retention": score.retention, f"{name}/difference": score.difference}
                )

    result = evaluate_models(
        run.recipe.evaluation,
        load=lambda name: (
            _scratch(run, output / "scratch") if name == "scratch" else run.load(name)
        ),
        teacher_section=run.recipe.teacher,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        interruption=run.interruption,
        on_scores=on_scores,
    )
    return replace(result, scratch=read_record(output / "scratch"))


def _scratch(run: Run, output: Path) -> LoadedModel:
    """The student's architecture, trained without a teacher on as many tokens as the student."""
    from distill.evaluation.scratch import train_scratch

    return train_scratch(
        run.load("student"),
        run.recipe.distillation,
        learning_rates=run.recipe.evaluation.scratch_learning_rates,
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        tokens=run.records["distillation"].result["tokens"],
        output=output,
        runtime=run.runtime.alone(),
    )


STAGE = Stage(
    name="evaluation",
    reads=("corpus", "vocabulary", "student", "distillation"),
    depends_on=depends_on,
    execute=execute,
    borrows=("onnx",),
    resumable=True,
)
