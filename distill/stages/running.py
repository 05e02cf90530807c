"""How each stage's room is called: a run and the folder to write to go in; the room's result comes out.

Rooms are imported when their stage runs: what is up to date costs no import of torch.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.processes import Processes
from distill.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.teacher import Teacher


def run_corpus(run: Run, output: Path) -> Any:
    """Texts into training and held-out documents."""
    from distill.corpus import stage

    result = stage.run(
        run.recipe.corpus, language=run.recipe.language, seed=run.recipe.seed, output=output, progress=run.progress
    )
    run.progress.warn(result.warnings)
    return result


def run_vocabulary(run: Run, output: Path) -> Any:
    """The teacher with the language's pieces alone, and the proof."""
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


def run_student(run: Run, output: Path) -> Any:
    """The smaller model, before it learns."""
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


def run_distillation(run: Run, output: Path) -> Any:
    """The student, taught by the trimmed teacher."""
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


def run_evaluation(run: Run, output: Path) -> Any:
    """Every model's scores on the tasks."""
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


def run_benchmark(run: Run, output: Path) -> Any:
    """Every model's size and latency."""
    from distill.benchmark import stage
    from distill.benchmark.subjects import Subject, open_subject, subject_of
    from distill.recipe.benchmark import is_own_model

    def open_model(name: str) -> Subject:
        return subject_of(run.load(name).model, run.model_folder(name)) if is_own_model(name) else open_subject(name)

    return stage.run(run.recipe.benchmark, open_model=open_model, output=output, progress=run.progress)


def run_inspection(run: Run, output: Path) -> Any:
    """What each layer knows of language and meaning."""
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


def run_export(run: Run, output: Path) -> Any:
    """The folder that is handed over."""
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
