"""The stages in order, one file each: what a stage reads, depends on and leaves, and what does
it.
"""

from __future__ import annotations

import difflib
from typing import Any

from distill.pipeline.stages import (
    benchmark,
    corpus,
    distillation,
    evaluation,
    export,
    inspection,
    student,
    vocabulary,
)
from distill.pipeline.stages.stage import Stage
from distill.runtime.errors import UserError

STAGES: tuple[Stage[Any], ...] = tuple(
    module.STAGE
    for module in (
        corpus,
        vocabulary,
        student,
        distillation,
        evaluation,
        benchmark,
        inspection,
        export,
    )
)
"""In the order in which they run; each has the name of its section of the recipe."""


def stage_named(name: str) -> Stage[Any]:
    """The stage of that name, which there is."""
    return next(stage for stage in STAGES if stage.name == name)


def check_name(option: str, name: str | None) -> None:
    """Raise UserError if what an option was given is not a stage's name."""
    names = [stage.name for stage in STAGES]
    if name is not None and name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"stages: {', '.join(names)}."
        raise UserError(f"{option} {name}: there is no such stage; {hint}")
