"""A dry run: the run that a recipe asks for goes in; what it would do, make and cost comes out as
lines to read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from distill.pipeline.pending import pending_stages
from distill.pipeline.plan import check_surroundings, make_plan, predict_seconds
from distill.report.formats import format_bytes, format_count
from distill.runtime.progress import format_seconds

if TYPE_CHECKING:
    from distill.pipeline.run import Run
    from distill.recipe import Recipe


def dry_run_lines(run: Run, *, until: str | None, force: str | None) -> Iterator[str]:
    """Stages, sizes and cost, a line each. Raises UserError with everything that would stop the
    run.
    """
    unreached = check_surroundings(run.recipe)
    pending = [stage.name for stage in pending_stages(run, until=until, force=force)]
    plan = make_plan(run.recipe, run.kept_pieces)
    yield f"{run.recipe.name}: {run.file.path} into {run.folder}"
    for stage in run.recipe.stages:
        state = (
            "to do"
            if stage in pending
            else "up to date"
            if stage in run.records
            else "not asked for"
        )
        yield f"  {stage:<14}{state}"
    about = "" if plan.vocabulary_is_measured else "about "
    yield f"teacher: {format_count(plan.teacher_parameters)} parameters"
    yield (
        f"student: {about}{format_count(plan.student_parameters)} parameters, "
        f"{about}{format_bytes(plan.student_bytes)}, "
        f"{about}{plan.vocabulary:,} pieces"
    )
    if "distillation" in pending:
        seconds, precision = predict_seconds(plan.operations, run.recipe.distillation.precision)
        limit = 60 * (run.recipe.distillation.minutes or math.inf)
        yield (
            f"distillation: {'at most ' if seconds > limit else ''}{plan.tokens:,} tokens, "
            f"{plan.operations:.2g} floating-point operations, about "
            f"{format_seconds(min(seconds, limit))} here in {precision}"
        )
    yield f"licence: {licence_in_words(run.recipe)}"
    for what in unreached:
        yield f"not checked: {what}"
    if "export" in pending and run.recipe.export.push:
        yield f"export: pushed to {run.recipe.export.push} when the run is done"


def licence_in_words(recipe: Recipe) -> str:
    """The licence that the student would carry, or why none is settled and which ones are not
    said.
    """
    from distill.export.licences import strictest_licence, unsettled

    if recipe.licence:
        return f"{recipe.licence}, as the recipe says"
    found = [
        ("teacher.model", recipe.teacher.licence),
        *([("student.model", None)] if recipe.student.model else []),
        *((source.label, source.licence) for source in recipe.corpus.sources),
    ]
    if why := unsettled(found):
        said = dict.fromkeys(f"{name}: {licence or 'not said'}" for name, licence in found)
        return f"not settled: {why} ({', '.join(said)})"
    return f"{strictest_licence(licence for _, licence in found)}, the strictest of its ingredients"
