"""How long each stage of a run will take here: a recipe goes in; seconds by stage, and how they
were come by, come out.

A stage's work is a number that grows with its time: bytes, operations, parameters, settings. The
last run's work and seconds are kept in a small file beside the runs, by machine, so that the next
prediction is work over that rate. Where a distillation is rehearsed, operations a second are
measured instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill.recipe import EvaluationSection, FineTunedTask, Recipe
from distill.runtime.files import write_whole

if TYPE_CHECKING:
    from distill.pipeline.plan import Plan
    from distill.pipeline.run import Run

COSTS = ".costs.json"
_USUAL = {"corpus": 6.5e6, "vocabulary": 1.3e6, "student": 3.5e7, "benchmark": 0.5, "export": 1.2e6}
"""Work a second on two cores (benchmarks/results/swedish-small.json), where nothing was run here
yet.
"""
_PIECES_A_WORD, _AROUND = 1.65, 4
_STUDENTS = ("student", "initial", "untrained", "scratch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a stage is thought to take."""

    seconds: float | None
    """None where nothing here says how fast it goes."""
    by: str
    """How that was come by, in a few words."""


def predict_costs(run: Run, plan: Plan, rate: float | None = None) -> dict[str, Cost]:
    """Seconds of each stage that the recipe asks for; `rate` is what a rehearsal measured, in
    operations a second.
    """
    kept = read_costs(run.folder.parent)
    costs: dict[str, Cost] = {}
    for stage in run.recipe.stages:
        costs[stage] = _cost(stage, stage_work(stage, run, plan), kept.get(stage), rate)
        seconds, limit = costs[stage].seconds, 60 * (run.recipe.distillation.minutes or math.inf)
        if stage == "distillation" and seconds and seconds > limit:
            # Scratch reads as many tokens as the student will have read.
            plan = replace(plan, tokens=round(plan.tokens * limit / seconds))
    return costs


def _cost(stage: str, work: float | None, kept: float | None, rate: float | None) -> Cost:
    if work is None:
        return Cost(seconds=None, by="how much there is to read is not known before it is fetched")
    if stage == "distillation" and rate:
        return Cost(seconds=work / rate, by="by rehearsed steps")
    if kept:
        return Cost(seconds=work / kept, by="by the last run here")
    if stage == "evaluation" and rate:
        return Cost(seconds=work / rate, by="by rehearsed steps")
    if stage in _USUAL:
        return Cost(seconds=work / _USUAL[stage], by="as on two cores elsewhere")
    return Cost(seconds=None, by="known after a first run here, or with --measure")


def stage_work(stage: str, run: Run, plan: Plan) -> float | None:
    """The work of a stage; None where it cannot be told yet."""
    if stage in ("corpus", "vocabulary"):
        return _bytes_of_text(run.recipe)
    if stage == "distillation":
        return plan.operations
    if stage == "evaluation":
        return evaluation_operations(run.recipe, plan)
    if stage == "benchmark":
        return benchmark_settings(run.recipe)
    if stage == "inspection":
        return inspection_operations(run, plan)
    return float(plan.student_parameters)


def _bytes_of_text(recipe: Recipe) -> float | None:
    from distill.corpus.sources import list_files

    total = 0.0
    for source in recipe.corpus.sources:
        limit = float(source.max_bytes) if source.max_bytes else math.inf
        if source.hub:
            if math.isinf(limit):
                return None
            total += limit
        else:
            total += min(limit, sum(_size(str(file)) for file in list_files(source)))
    return total


def _size(file: str) -> float:
    path = Path(file)
    return float(path.stat().st_size) if path.is_file() else 0.0


def evaluation_operations(recipe: Recipe, plan: Plan) -> float | None:
    """Floating-point operations of every model on every task, each fine-tune to its last epoch, and
    of what scratch learns before; None where a task's rows are not here yet.
    """
    from distill.evaluation.kinds import kind_of
    from distill.evaluation.overlap import task_texts

    section, total = recipe.evaluation, 0.0
    for task in section.tasks:
        if any(source.hub for source in task.sources):
            return None
        texts = task_texts(kind_of(task).read(task, recipe.seed))
        words = {
            split: sum(_tokens(" ".join(row), section.max_length) for row in rows)
            for split, rows in texts.items()
        }
        for model in section.models:
            matrices = _matrices(model, plan)
            if isinstance(task, FineTunedTask):
                runs = _fine_tunes(task, section) if model != "student_int8" else 0
                learnt = words["train"] * _epochs(section, len(texts["train"]))
                total += matrices * runs * (6 * learnt + 2 * words["test"])
            else:
                total += 2 * matrices * words["test"]
    if "scratch" in section.models and section.tasks:
        rates = len(section.scratch_learning_rates)
        total += 6.0 * plan.student_matrices * plan.tokens * rates
    return total


def _fine_tunes(task: FineTunedTask, section: EvaluationSection) -> int:
    from distill.evaluation.protocol import planned

    languages = 1 if task.cross_lingual is None else len(task.cross_lingual.fine_tunes)
    return planned(section) * languages


def _epochs(section: EvaluationSection, rows: int) -> float:
    """How often the training rows are read at most, less where steps are limited."""
    steps = section.epochs * math.ceil(rows / section.batch_size) if rows else 1
    most = min(steps, section.max_steps or steps)
    return section.epochs * most / steps


def _tokens(text: str, most: int) -> float:
    return min(float(most), _PIECES_A_WORD * len(text.split()) + _AROUND)


def _matrices(model: str, plan: Plan) -> int:
    """Parameters that multiply; a Hub model is thought as large as the teacher."""
    if model == "tfidf":
        return 0
    base = model.removesuffix("_int8")
    return plan.student_matrices if base in _STUDENTS else plan.teacher_matrices


def benchmark_settings(recipe: Recipe) -> float:
    """Each model in each runtime, place and shape."""
    from distill.benchmark.settings import list_entrants, list_placements, list_shapes

    section = recipe.benchmark
    return float(
        len(list_entrants(section)) * len(list_placements(section)) * len(list_shapes(section))
    )


def inspection_operations(run: Run, plan: Plan) -> float | None:
    """Sentences through every model, in thousands of parameters that multiply."""
    section = run.recipe.inspection
    if section is None:
        return None
    from distill.inspection.sentences import read_sentences

    kept = section.kept or run.recipe.languages[0]
    sentences = read_sentences(section, kept, run.recipe.seed)
    count = sum(map(len, sentences.texts))
    return float(count * sum(_matrices(model, plan) for model in section.models))


def read_costs(folder: Path) -> dict[str, float]:
    """Work a second of each stage in its last run on this machine."""
    return {
        stage: kept["work"] / kept["seconds"]
        for stage, kept in _read(folder).get(machine_name(), {}).items()
        if kept["seconds"] > 0
    }


def keep_cost(folder: Path, stage: str, work: float, seconds: float) -> None:
    """Keep what a stage took that did all of its work, for the next prediction."""
    costs = _read(folder)
    costs.setdefault(machine_name(), {})[stage] = {"work": work, "seconds": seconds}
    write_whole(folder / COSTS, json.dumps(costs, indent=1) + "\n")


def _read(folder: Path) -> dict[str, dict[str, Mapping[str, float]]]:
    try:
        content = json.loads((folder / COSTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def machine_name() -> str:
    """What times depend on: processor, cores that may be used, GPU."""
    import os
    import platform

    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.node()}, {platform.machine()}, {cores} cores, {gpu}"
