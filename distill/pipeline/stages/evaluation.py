"""The evaluation stage: every model is scored on every task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.pipeline.records import fingerprint
from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import (
    describe_baselines,
    describe_sources,
    teacher_section,
    vectors_length,
)
from distill.pipeline.stages.stage import Stage
from distill.recipe.asymmetric import ASYMMETRIC
from distill.recipe.model_reference import OWN_MODELS
from distill.recipe.section import meaning
from distill.report.results.distillation import DistillationResult
from distill.report.results.evaluation import EvaluationResult

if TYPE_CHECKING:
    from distill.models import LoadedModel


def depends_on(run: Run) -> dict[str, object]:
    """The tasks' files, local baselines' files, and what scratch is trained by."""
    section = run.recipe.evaluation
    needed: dict[str, object] = {
        "seed": run.recipe.seed,
        "teacher": teacher_section(run) | vectors_length(run),
        "sources": describe_sources(
            run, (source for task in section.tasks for source in task.sources)
        ),
        "baselines": describe_baselines(run, section.models),
    }
    if section.reference != "teacher":
        needed["reference"] = section.reference
    if "scratch" in section.models:
        needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def execute(run: Run, output: Path) -> EvaluationResult:
    """Every model's scores on the tasks."""
    from distill.evaluation.evaluate import evaluate_models
    from distill.evaluation.keeping import SCRATCH, take_over
    from distill.evaluation.scratch import read_record

    def on_scores(model: str, task: str, scores: Any) -> None:
        with run.tracker.child(
            f"evaluation/{model}/{task}", {"stage": "evaluation", "model": model, "task": task}
        ):
            for score in scores:
                step = (score.setting, score.language or "average") if score.setting else ()
                name = "/".join((*step, score.metric))
                run.tracker.log(
                    {name: score.mean, f"{name}/low": score.low, f"{name}/high": score.high}
                )
                run.tracker.log(
                    {f"{name}/retention": score.retention, f"{name}/difference": score.difference}
                )

    if run.processes.is_first:
        previous = None if run.forced == STAGE.name else run.folder / STAGE.name
        is_whole = STAGE.folder(run).damage(thorough=True) is None
        take_over(previous, output, measurement_keys(run), is_whole=is_whole)
    result = evaluate_models(
        run.recipe.evaluation,
        load=lambda name: _scratch(run, output / SCRATCH) if name == "scratch" else run.load(name),
        teacher_section=run.recipe.teacher,
        output=output,
        runtime=run.runtime,
        reference=run.recipe.evaluation.reference,
        on_scores=on_scores,
        documents=lambda: run.texts("train"),
        sentence_form=run.sentence_form,
        sentences=run.judging_sentences,
    )
    return replace(result, scratch=read_record(output / SCRATCH))


def _scratch(run: Run, output: Path) -> LoadedModel:
    """The student's architecture, trained without a teacher on as many tokens as the student."""
    from distill.evaluation.scratch import train_scratch

    return train_scratch(
        run.load("student"),
        run.recipe.distillation,
        learning_rates=run.recipe.evaluation.scratch_learning_rates,
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        tokens=run.result(DistillationResult).tokens,
        output=output,
        runtime=run.runtime.alone(),
    )


def measurement_keys(run: Run) -> dict[str, str]:
    """For each model on each task a hash of all that its measurements depend on; and for scratch,
    of what it is trained by.
    """
    from distill.evaluation.keeping import SCRATCH, key_of

    section, how = run.recipe.evaluation, measured_how(run)
    setting = {**how["setting"], "int8": "student_int8" in section.models}
    models = {name: _describe_model(run, name) for name in section.models}
    keys = {
        key_of(name, task): fingerprint({"model": model, "setting": setting, **described})
        for name, model in models.items()
        for task, described in how["tasks"].items()
    }
    if SCRATCH in models:
        keys[SCRATCH] = fingerprint({"model": models[SCRATCH], "setting": setting["revision"]})
    return keys


def measured_how(run: Run) -> dict[str, dict[str, Any]]:
    """What scores depend on besides the model: the setting, and by name the tasks with their
    rows.
    """
    section = run.recipe.evaluation
    # Each seed and learning rate is measured by itself, whatever others are tried.
    elsewhere = ("models", "tasks", "seeds", "learning_rates", "scratch_learning_rates", "margin")
    setting = {
        "revision": STAGE.revision,
        "seed": run.recipe.seed,
        "teacher": teacher_section(run) | vectors_length(run),
        "protocol": meaning(section, without=elsewhere),
    }
    tasks = {
        task.name: {"task": meaning(task), "sources": describe_sources(run, task.sources)}
        for task in section.tasks
    }
    return {"setting": setting, "tasks": tasks}


def _describe_model(run: Run, name: str) -> dict[str, object]:
    """What a model's scores depend on: its files, or what it is made from."""
    if name not in OWN_MODELS:
        return describe_baselines(run, [name])[0]
    if name == "tfidf":
        return {"name": name}
    if name == "teacher":
        from distill.models import model_identity

        teacher = run.recipe.teacher
        return model_identity(teacher.model, teacher.revision, run.hashes)
    if name == ASYMMETRIC:
        both = {
            part: run.hashes.of_folder(run.model_folder(part)) for part in ("student", "trimmed")
        }
        return {"name": name, **both}
    if name != "scratch":
        # Of which untrained has the architecture alone.
        folder = run.model_folder("student" if name == "student_int8" else name)
        judged = {"corpus": run.records["corpus"].identity} if name == "student_int8" else {}
        files = run.hashes.of_folder(folder)
        return {"name": name, "files": files, "seed": run.recipe.seed, **judged}
    student = run.model_folder("student")
    form = [path for path in student.iterdir() if path.suffix != ".safetensors"]
    return {
        "architecture": run.hashes.of_folder(student, form),
        "corpus": run.records["corpus"].identity,
        "distillation": meaning(run.recipe.distillation),
        "learning_rates": run.recipe.evaluation.scratch_learning_rates,
        "tokens": run.result(DistillationResult).tokens,
        "seed": run.recipe.seed,
    }


STAGE = Stage(
    name="evaluation",
    revision=5,
    reads=("corpus", "vocabulary", "student", "distillation"),
    depends_on=depends_on,
    result=EvaluationResult,
    execute=execute,
    resumable=True,
    shared=True,
)
