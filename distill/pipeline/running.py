"""What must run, runs: fingerprints, skipping, resuming, tracking, and the report at the end.

A stage is skipped if its folder's record has the fingerprint that it would have now: of its section
of the recipe, of the content of what it reads, of the executions before it, and of its revision.
It is thereby redone when anything before it was.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from distill.pipeline.pending import pending_stages, stage_fingerprint
from distill.pipeline.records import Record, now
from distill.pipeline.reporting import is_reported, note_done, publish_report, run_name
from distill.pipeline.run import Run
from distill.pipeline.stages import stage_named
from distill.pipeline.stages.stage import Stage
from distill.report.results.distillation import DistillationResult
from distill.report.results.export import ExportResult
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.lock import locked
from distill.runtime.progress import format_seconds, silence_libraries


def run_recipe(
    run: Run, *, until: str | None = None, force: str | None = None, verify: bool = False
) -> None:
    """Run the stages that must run, one after another, and write the report.

    With `verify` the files of finished stages are read and compared with what was written. Raises
    UserError for what the user can put right, or if another process works in the run's folder, and
    Interrupted after a signal; finished stages stay.
    """
    from distill.pipeline.checks import check_surroundings
    from distill.pipeline.plan import check_space, make_plan
    from distill.pipeline.pushing import push_obstacles
    from distill.tracking import send_what_was_kept

    try:
        pending = pending_stages(run, until=until, force=force, verify=verify)
    except UserError:
        check_surroundings(run.recipe)  # finds every problem, of which this was the first
        raise
    if not pending and is_reported(run):
        send_what_was_kept(run.recipe.name, run.folder, run.progress)
        run.progress.say(
            f"{run.recipe.name}: nothing to do; every stage is up to date (report: "
            f"{run.folder / 'report.html'})"
        )
        _push(run)
        return
    for name in run.records:
        run.progress.say(f"{name}: up to date", "dim")
    if pending:
        run.progress.warn(check_surroundings(run.recipe))
        if any(stage.is_trained for stage in pending):
            check_space(make_plan(run.recipe, run.kept_pieces), run.folder)
        silence_libraries()
        if pending[-1].name == "export":
            run.progress.warn(push_obstacles(run.recipe.export))
    with locked(run.folder):
        _run_pending(run, pending, force)


def _run_pending(run: Run, pending: list[Stage[Any]], force: str | None) -> None:
    """Run the stages, publish the report, and push the export where that is asked for."""
    from distill.tracking.surroundings import describe_surroundings

    parameters = {
        **run.recipe.model_dump(mode="json", exclude_none=True),
        "overrides": " ".join(run.file.overrides) or "none",
    }
    about = {
        "teacher": run.recipe.teacher.model,
        "language": ", ".join(run.recipe.languages),
        **describe_surroundings(run.file.path),
    }
    run.tracker.start(run_name(run.recipe.teacher.model), parameters, about)
    try:
        for stage in pending:
            tags = {"stage": stage.name}
            with run.tracker.child(stage.name, tags, with_system=stage.is_trained):
                record = make_stage(run, stage, forced=stage.name == force)
                run.tracker.log({**figures(record.result), "seconds": record.seconds})
        publish_report(run)
    except Interrupted:
        run.tracker.finish("KILLED")
        raise
    except BaseException:
        run.tracker.finish("FAILED")
        raise
    run.tracker.finish("FINISHED")
    note_done(run)
    _push(run)


T = TypeVar("T")


def make_stage(run: Run, stage: Stage[T], *, forced: bool = False) -> Record[T]:
    """Run one stage in a folder of its own and put it into place."""
    run.interruption.check()
    run.forced = stage.name if forced else None
    mark = stage_fingerprint(run, stage)
    folder = stage.folder(run)
    is_whole = not (folder.is_under_way or (stage.resumable and folder.final.exists()))
    started, clock = now(), time.monotonic()
    # Forced work is its own: it doesn't go on from what was there, but after an interruption from
    # itself.
    partial = folder.begin(f"{mark} forced" if forced else mark, resumable=stage.resumable)
    if stage.shared:
        run.processes.share((stage.name, str(partial), run.records))
    result = stage.execute(run, partial)
    seconds = time.monotonic() - clock
    record = Record(
        fingerprint=mark, started=started, finished=now(), seconds=seconds, result=result
    )
    folder.finish(record)
    run.records[stage.name] = record
    if is_whole:
        _keep_cost(run, stage.name, seconds)
    run.progress.say(f"{stage.name}: done in {format_seconds(seconds)}")
    return record


def _keep_cost(run: Run, stage: str, seconds: float) -> None:
    """Keep how long a stage took that did all of its work, for the next dry run."""
    from distill.pipeline.cost import keep_cost, stage_work
    from distill.pipeline.plan import make_plan

    with suppress(UserError, OSError):  # a prediction of the next run stops none
        plan = make_plan(run.recipe, run.kept_pieces)
        if stage == "distillation":
            read = run.result(DistillationResult).tokens
            plan = replace(plan, operations=plan.operations * read / plan.tokens, tokens=read)
        work = stage_work(stage, run, plan)
        if work:
            keep_cost(run.folder.parent, stage, work, seconds)


def follow(run: Run) -> None:
    """What every process of a launch but the first does: its part of the stages that are shared
    out, until there is none.
    """
    silence_libraries()
    while (call := run.processes.share(None)) is not None:
        name, folder, run.records = call
        stage_named(name).execute(run, Path(folder))


def _push(run: Run) -> None:
    """Push the finished export where the recipe asks for it. Raises UserError; all that was run
    stays.
    """
    from distill.pipeline.pushing import is_to_be_pushed, push_run, run_is_kept

    section, export = run.recipe.export, run.find(ExportResult)
    if section.push is None or export is None or not is_to_be_pushed(section, export.pushed_to):
        return
    run.progress.say(f"export: pushing to {section.push}", "dim")
    with run_is_kept(run.folder, section):
        pushed = push_run(run.folder, section.push, private=section.private)
    run.progress.say(f"export: pushed to {pushed.url} as {pushed.tag}")


def figures(result: Any) -> dict[str, float]:
    """The numbers among a result's fields, by name."""
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
