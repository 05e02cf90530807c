"""The stages in order, each with what it reads, what it depends on, and what does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.run import Run
from distill.stages import dependencies, running


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the way."""

    name: str
    reads: tuple[str, ...]
    """The stages that it reads the folders and results of; one that the recipe does not ask for is left out."""
    depends_on: Callable[[Run], dict[str, Any]]
    """What it depends on besides, as plain values."""
    execute: Callable[[Run, Path], Any]
    """Does it, in the folder given, and returns its result."""
    borrows: tuple[str, ...] = ()
    """The rooms besides its own whose code its results come from."""
    resumable: bool = False
    shared: bool = False
    """Whether all processes of a launch work on it; the others are the first one's alone."""


STAGES: tuple[Stage, ...] = (
    Stage(
        name="corpus",
        reads=(),
        depends_on=dependencies.of_corpus,
        execute=running.run_corpus,
    ),
    Stage(
        name="vocabulary",
        reads=("corpus",),
        depends_on=dependencies.of_vocabulary,
        execute=running.run_vocabulary,
    ),
    Stage(
        name="student",
        reads=("corpus", "vocabulary"),
        depends_on=dependencies.of_student,
        execute=running.run_student,
        resumable=True,
    ),
    Stage(
        name="distillation",
        reads=("corpus", "vocabulary", "student"),
        depends_on=dependencies.of_distillation,
        execute=running.run_distillation,
        resumable=True,
        shared=True,
    ),
    Stage(
        name="evaluation",
        reads=("corpus", "vocabulary", "student", "distillation"),
        depends_on=dependencies.of_evaluation,
        execute=running.run_evaluation,
        borrows=("onnx",),
        resumable=True,
    ),
    Stage(
        name="benchmark",
        reads=("vocabulary", "student", "distillation"),
        depends_on=dependencies.of_benchmark,
        execute=running.run_benchmark,
        borrows=("onnx",),
    ),
    Stage(
        name="inspection",
        reads=("vocabulary", "student", "distillation"),
        depends_on=dependencies.of_inspection,
        execute=running.run_inspection,
        resumable=True,
    ),
    Stage(
        name="export",
        reads=("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "inspection"),
        depends_on=dependencies.of_export,
        execute=running.run_export,
        borrows=("onnx",),
    ),
)
"""In the order in which they run; each has the name of its section of the recipe."""


def stage_named(name: str) -> Stage:
    """The stage of that name, which there is."""
    return next(stage for stage in STAGES if stage.name == name)


def check_name(option: str, name: str | None) -> None:
    """Raise UserError if what an option was given is not a stage's name."""
    names = [stage.name for stage in STAGES]
    if name is not None and name not in names:
        import difflib

        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"stages: {', '.join(names)}."
        raise UserError(f"{option} {name}: there is no such stage; {hint}")
