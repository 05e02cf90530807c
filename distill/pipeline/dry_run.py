"""A dry run: the run that a recipe asks for goes in; what it would do, make and cost comes out as
lines to read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from distill.pipeline.checks import check_contents, check_files
from distill.pipeline.cost import Cost, predict_costs
from distill.pipeline.pending import pending_stages
from distill.pipeline.plan import make_plan, predict_seconds, rehearse
from distill.report.formats import format_bytes, format_count
from distill.runtime.progress import format_seconds

if TYPE_CHECKING:
    from distill.pipeline.run import Run
    from distill.recipe import Recipe


def dry_run_lines(
    run: Run, *, until: str | None, force: str | None, measure: bool = False
) -> Iterator[str]:
    """Stages, sizes and cost, a line each; with `measure` steps are rehearsed for ten seconds.
    Raises UserError with everything that would stop the run.
    """
    unreached = check_files(run.recipe)
    yield from map("not checked: {}".format, unreached)  # at once; the rest takes seconds
    also = [what for what in check_contents(run.recipe) if what not in unreached]
    pending = [stage.name for stage in pending_stages(run, until=until, force=force)]
    plan = make_plan(run.recipe, run.kept_pieces)
    yield f"{run.recipe.name}: {run.file.path} into {run.folder}"
    rate, precision = rehearse(run.recipe, plan) if measure else (None, None)
    costs = predict_costs(run, plan, rate)
    if rate is None and "distillation" in pending and costs["distillation"].seconds is None:
        seconds, precision = predict_seconds(plan.operations, run.recipe.distillation.precision)
        costs["distillation"] = Cost(seconds=seconds, by="by this machine's matrix product")
    for stage in run.recipe.stages:
        state = (
            f"to do, {_in_words(costs[stage], _limit(run, stage))}"
            if stage in pending
            else "up to date"
            if stage in run.records
            else "not asked for"
        )
        yield f"  {stage:<14}{state}"
    known = [(stage, costs[stage].seconds) for stage in pending]
    total = sum(min(seconds, _limit(run, stage)) for stage, seconds in known if seconds is not None)
    without = [stage for stage, seconds in known if seconds is None]
    if total:
        yield (
            f"in all about {format_seconds(total)}"
            + (f", and {' and '.join(without)}" if without else "")
        )
    about = "" if plan.vocabulary_is_measured else "about "
    yield f"teacher: {format_count(plan.teacher_parameters)} parameters"
    yield (
        f"student: {about}{format_count(plan.student_parameters)} parameters, "
        f"{about}{format_bytes(plan.student_bytes)}, "
        f"{about}{plan.vocabulary:,} pieces"
    )
    if "distillation" in pending:
        fits = (costs["distillation"].seconds or 0.0) <= _limit(run, "distillation")
        yield (
            f"distillation: {'' if fits else 'at most '}{plan.tokens:,} tokens, "
            f"{plan.operations:.2g} floating-point operations"
            + (f", here in {precision}" if precision else "")
        )
    yield f"licence: {licence_in_words(run.recipe)}"
    yield from map("not checked: {}".format, also)
    if "export" in pending and run.recipe.export.push:
        yield f"export: pushed to {run.recipe.export.push} when the run is done"


def _limit(run: Run, stage: str) -> float:
    """The seconds that the recipe gives a stage at most."""
    minutes = run.recipe.distillation.minutes if stage == "distillation" else None
    return 60 * minutes if minutes else math.inf


def _in_words(cost: Cost, limit: float) -> str:
    if cost.seconds is None:
        return f"time: {cost.by}"
    if cost.seconds > limit:
        return f"{format_seconds(limit)}, which its minutes allow"
    return f"about {format_seconds(cost.seconds)}, {cost.by}"


def licence_in_words(recipe: Recipe) -> str:
    """The licence that the student would carry, or why none is settled and which ones are not
    said.
    """
    from distill.export.licences import strictest_licence, unsettled

    if recipe.export.licence:
        return f"{recipe.export.licence}, as the recipe says"
    licences = [
        ("teacher.model", recipe.teacher.licence),
        *([("student.model", None)] if recipe.student.model else []),
        *((source.label, source.licence) for source in recipe.corpus.sources),
    ]
    if why := unsettled(licences):
        said = dict.fromkeys(f"{name}: {licence or 'not said'}" for name, licence in licences)
        return f"not settled: {why} ({', '.join(said)})"
    return (
        f"{strictest_licence(licence for _, licence in licences)}, the strictest of its ingredients"
    )
