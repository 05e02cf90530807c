"""The stages in order, each with what it reads, what it depends on, and how its room's `run` is called.

Rooms are imported when their stage runs: what is up to date costs no import of torch.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from distill.processes import Processes
from distill.recipe.evaluation import OWN_MODELS
from distill.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.recipe import Recipe
    from distill.teacher import Teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the way."""

    name: str
    reads: tuple[str, ...]
    """The stages whose folders it reads."""
    depends_on: Callable[[Run], dict[str, Any]]
    """What it depends on besides: parts of the recipe, and the identity of what it reads from outside."""
    execute: Callable[[Run, Path], Any]
    """Does it, in the folder given, and returns its result."""
    borrows: tuple[str, ...] = ()
    """The rooms besides its own whose code its results come from."""
    resumable: bool = False
    shared: bool = False
    """Whether all processes of a launch work on it; the others are the first one's alone."""


def _run_corpus(run: Run, output: Path) -> Any:
    from distill.corpus import stage

    result = stage.run(
        run.recipe.corpus, language=run.recipe.language, seed=run.recipe.seed, output=output, progress=run.progress
    )
    run.progress.warn(result.warnings)
    return result


def _run_vocabulary(run: Run, output: Path) -> Any:
    from distill.corpus.documents import document_batches
    from distill.vocabulary import stage
    from distill.vocabulary.counting import available_workers
    from distill.vocabulary.curve import curve_table

    batches, foreign = document_batches(run.folder / "corpus" / "train.jsonl"), run.folder / "corpus" / "foreign.jsonl"
    result = stage.run(
        run.recipe.vocabulary,
        teacher=run.teacher,
        batches=batches,
        heldout=run.sentences(),
        foreign=document_batches(foreign) if foreign.is_file() else (),
        sources=[(source.label, source.weight) for source in run.recipe.corpus.sources],
        output=output,
        workers=available_workers() if len(batches) > 1 else 1,
        progress=run.progress,
    )
    for line in curve_table(result.curve, result.chosen):
        run.progress.say(line)
    for point in result.curve:
        run.tracker.log({f"curve/{name}": value for name, value in point.items() if name != "pieces"}, point["pieces"])
    run.tracker.artifact(output / "curve.json")
    run.progress.warn(result.warnings)
    return result


def _run_student(run: Run, output: Path) -> Any:
    from distill.student import stage
    from distill.teacher import load_teacher

    section, trimmed = run.recipe.student, run.load("trimmed")
    described = {"name": run.recipe.teacher.model, **stage.describe_model(run.teacher.model)}
    return stage.run(
        section,
        trimmed=trimmed,
        teacher=described,
        texts=run.texts("train"),
        output=output,
        seed=run.recipe.seed,
        progress=run.progress,
        recover=lambda student, layers, step: _recover(run, trimmed, student, layers, output / f"recovery-{step}"),
        existing=load_teacher(section.model, section.revision) if section.model else None,
        untrimmed_vocabulary=run.teacher.tokenizer.get_vocab(),
    )


def _recover(run: Run, trimmed: Teacher, student: PreTrainedModel, layers: list[int], folder: Path) -> None:
    """A little distillation between two steps of pruning."""
    from distill.distillation import stage

    stage.run(
        run.recipe.distillation.model_copy(
            update={"tokens": run.recipe.student.pruning.recover_tokens, "minutes": None, "validations": 0, "patience": None}
        ),
        teacher=trimmed,
        teacher_section=run.recipe.teacher,
        student=student,
        layers=layers,
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        seed=run.recipe.seed,
        output=folder,
        interruption=run.interruption,
        progress=run.progress,
        log=lambda metrics, step: None,
        processes=Processes(alone=True),
    )
    shutil.rmtree(folder)


def _run_distillation(run: Run, output: Path) -> Any:
    from distill.distillation import stage

    return stage.run(
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


def _run_evaluation(run: Run, output: Path) -> Any:
    from distill.evaluation import stage
    from distill.evaluation.scratch import read_record

    def on_scores(model: str, task: str, scores: Any) -> None:
        with run.tracker.child(f"evaluation/{model}/{task}", {"stage": "evaluation", "model": model, "task": task}):
            for score in scores:
                place = (score.setting, score.language or "average") if score.setting else ()
                name = "/".join((*place, score.metric))
                run.tracker.log({name: score.mean, f"{name}/low": score.low, f"{name}/high": score.high})
                run.tracker.log({f"{name}/retention": score.retention, f"{name}/difference": score.difference})

    result = stage.run(
        run.recipe.evaluation,
        load=lambda name: _scratch(run, output / "scratch") if name == "scratch" else run.load(name),
        teacher_section=run.recipe.teacher,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        interruption=run.interruption,
        on_scores=on_scores,
    )
    return replace(result, scratch=read_record(output / "scratch"))


def _scratch(run: Run, output: Path) -> Teacher:
    """The student's architecture, trained without a teacher on as many tokens as the student."""
    import torch

    from distill.evaluation.scratch import train_scratch

    return train_scratch(
        run.load("student"),
        run.recipe.distillation,
        learning_rates=run.recipe.evaluation.scratch_learning_rates,
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        tokens=run.records["distillation"].result["tokens"],
        seed=run.recipe.seed,
        output=output,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        interruption=run.interruption,
        progress=run.progress,
    )


def _run_benchmark(run: Run, output: Path) -> Any:
    from distill.benchmark import stage
    from distill.benchmark.subjects import Subject, open_subject, subject_of
    from distill.recipe.benchmark import is_own_model

    def open_model(name: str) -> Subject:
        return subject_of(run.load(name).model, run.model_folder(name)) if is_own_model(name) else open_subject(name)

    return stage.run(run.recipe.benchmark, open_model=open_model, output=output, progress=run.progress)


def _run_inspection(run: Run, output: Path) -> Any:
    from distill.inspection import stage
    from distill.teacher import describe_teacher

    def identify(name: str) -> dict[str, Any]:
        # Initial and untrained have one folder.
        return {"name": name, "files": describe_teacher(str(run.model_folder(name)), "main")}

    section = run.recipe.inspection
    assert section is not None
    result = stage.run(
        section,
        load=run.load,
        identify=identify,
        teacher_section=run.recipe.teacher,
        kept=section.kept or run.recipe.language,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        interruption=run.interruption,
    )
    for model in result.models:
        for row in model.layers:
            measured = {name: value for name, value in asdict(row).items() if name != "layer"}
            run.tracker.log({f"{model.model}/{name}": value for name, value in measured.items()}, row.layer)
    return result


def _run_export(run: Run, output: Path) -> Any:
    from itertools import islice

    from distill.export import stage
    from distill.report.content import report_content

    changes = "".join(f"# --set {override}\n" for override in run.file.overrides)
    result = stage.run(
        run.recipe.export,
        student=run.load("student"),
        teacher_section=run.recipe.teacher,
        report=report_content(run.recipe, run.results()),
        recipe_text=changes + run.file.text,
        sentences=[sentence for _, sentence in islice(run.sentences(), 64)],
        path=Path(os.path.relpath(run.folder / "export")),
        output=output,
    )
    run.progress.warn(result.warnings)
    return result


def _depends_on_teacher(run: Run) -> dict[str, Any]:
    from distill.teacher import describe_teacher

    return describe_teacher(run.recipe.teacher.model, run.recipe.teacher.revision)


def _depends_on_student(run: Run) -> dict[str, Any]:
    """An existing model's files, and what pruning draws and recovers by."""
    from distill.teacher import describe_teacher

    section = run.recipe.student
    needed: dict[str, Any] = {}
    if section.model:
        needed["model"] = describe_teacher(section.model, section.revision)
    if section.config is not None or section.hidden_size is not None or section.intermediate_size is not None:
        needed["seed"] = run.recipe.seed
        if section.pruning.recover_tokens:
            needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def _depends_on_benchmarked(run: Run) -> dict[str, Any]:
    """The models that the run does not make itself."""
    from distill.benchmark.subjects import describe_subject
    from distill.recipe.benchmark import is_own_model

    return {name: describe_subject(name) for name in run.recipe.benchmark.models if not is_own_model(name)}


def _depends_on_sources(sources: list[Any]) -> list[dict[str, Any]]:
    from distill.corpus.sources import describe_source

    return [describe_source(source) for source in sources]


def _describe_baseline(name: str) -> dict[str, Any]:
    """A local folder's files; one that is not there is scored so, not refused."""
    from distill.teacher import describe_teacher

    try:
        return describe_teacher(name, "main")
    except UserError:
        return {"missing": name}


def _depends_on_inspected(run: Run) -> dict[str, Any]:
    """The teacher, the sentences' files, and local baselines' files."""
    from distill.inspection.sentences import describe_sentences

    section = run.recipe.inspection
    assert section is not None
    return {
        "seed": run.recipe.seed,
        "language": run.recipe.language,
        "teacher": run.recipe.teacher.model_dump(exclude={"licence"}),
        "sentences": describe_sentences(section.sentences_path, section.languages),
        "baselines": [_describe_baseline(name) for name in section.models if name not in OWN_MODELS],
    }


def _depends_on_tasks(run: Run) -> dict[str, Any]:
    """Teacher and rows, local baselines' files, and what scratch is trained by."""
    section = run.recipe.evaluation
    needed: dict[str, Any] = {
        "seed": run.recipe.seed,
        "teacher": run.recipe.teacher.model_dump(exclude={"licence"}),
        "sources": _depends_on_sources([source for task in section.tasks for source in task.sources]),
        "baselines": [_describe_baseline(name) for name in section.models if name not in OWN_MODELS],
    }
    if "scratch" in section.models:
        needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


STAGES: tuple[Stage, ...] = (
    Stage(
        name="corpus",
        reads=(),
        depends_on=lambda run: {
            "seed": run.recipe.seed,
            "language": run.recipe.language,
            "sources": _depends_on_sources(run.recipe.corpus.sources),
        },
        execute=_run_corpus,
    ),
    Stage(
        name="vocabulary",
        reads=("corpus",),
        depends_on=lambda run: {
            "teacher": _depends_on_teacher(run),
            "lists": _depends_on_sources(run.recipe.vocabulary.word_lists),
        },
        execute=_run_vocabulary,
    ),
    Stage(
        name="student",
        reads=("corpus", "vocabulary"),
        depends_on=_depends_on_student,
        execute=_run_student,
        resumable=True,
    ),
    Stage(
        name="distillation",
        reads=("corpus", "vocabulary", "student"),
        depends_on=lambda run: {"seed": run.recipe.seed, "teacher": run.recipe.teacher.model_dump(exclude={"licence"})},
        execute=_run_distillation,
        resumable=True,
        shared=True,
    ),
    Stage(
        name="evaluation",
        reads=("corpus", "vocabulary", "student", "distillation"),
        depends_on=_depends_on_tasks,
        execute=_run_evaluation,
        borrows=("onnx",),
        resumable=True,
    ),
    Stage(
        name="benchmark",
        reads=("vocabulary", "student", "distillation"),
        depends_on=_depends_on_benchmarked,
        execute=_run_benchmark,
        borrows=("onnx",),
    ),
    Stage(
        name="inspection",
        reads=("vocabulary", "student", "distillation"),
        depends_on=_depends_on_inspected,
        execute=_run_inspection,
        resumable=True,
    ),
    Stage(
        name="export",
        reads=("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark"),
        depends_on=lambda run: {"recipe": run.file.text, "overrides": run.file.overrides},
        execute=_run_export,
        borrows=("onnx",),
    ),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)


def is_wanted(recipe: Recipe, stage: str) -> bool:
    """Whether the recipe asks for the stage: only a section that has no defaults can be absent."""
    return getattr(recipe, stage) is not None


def stage_named(name: str | None, option: str) -> str | None:
    """`name` if it is a stage's. Raises UserError otherwise."""
    if name is not None and name not in STAGE_NAMES:
        import difflib

        near = difflib.get_close_matches(name, STAGE_NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"stages: {', '.join(STAGE_NAMES)}."
        raise UserError(f"{option} {name}: there is no such stage; {hint}")
    return name
