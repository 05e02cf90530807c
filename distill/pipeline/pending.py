"""Which stages must run: those whose record has not the fingerprint that they would have now."""

from __future__ import annotations

from typing import Any

from distill.pipeline.records import fingerprint
from distill.pipeline.run import Run
from distill.pipeline.stages import stage_named
from distill.pipeline.stages.stage import Stage
from distill.recipe.section import meaning
from distill.runtime.errors import UserError


def stage_fingerprint(run: Run, stage: Stage[Any]) -> str:
    """The fingerprint that the stage's record would have if it ran now; the stages it reads must
    have records.
    """
    reads = [name for name in stage.reads if name in run.recipe.stages]
    return fingerprint(
        {
            "revision": stage.revision,
            "section": meaning(getattr(run.recipe, stage.name)),
            "reads": {name: run.records[name].identity for name in reads},
            **stage.depends_on(run),
        }
    )


def pending_stages(
    run: Run, *, until: str | None, force: str | None, verify: bool = False
) -> list[Stage[Any]]:
    """The stages that must run, in order; records of those that need not are put into `run`.

    A stage must run, too, whose files are missing or have another size: with `verify`, or where a
    run was cut off, another content.
    """
    for option, name in (("--until", until), ("--force", force)):
        if name is not None and name not in run.recipe.stages:
            raise UserError(
                f"{option} {name}: {run.file.path} has no section {name}; add one, or leave the "
                "option out."
            )
    if force is not None:
        run.hashes.forget()
    wanted = run.recipe.stages
    stages = [stage_named(name) for name in wanted[: wanted.index(until) + 1 if until else None]]
    pending: list[Stage[Any]] = []
    thorough = verify or any(stage.folder(run).is_under_way for stage in stages)
    for stage in stages:
        is_stale = any(name in {other.name for other in pending} for name in stage.reads)
        record = None if is_stale or stage.name == force else stage.folder(run).record()
        if record is None or record.fingerprint != stage_fingerprint(run, stage):
            pending.append(stage)
        elif damage := stage.folder(run).damage(thorough=thorough):
            run.progress.say(f"{stage.name}: {damage}; it is run again", "yellow")
            pending.append(stage)
        else:
            run.records[stage.name] = record
    if any(stage.folder(run).is_of_earlier_version for stage in pending):
        run.progress.say(
            f"{run.folder} was made by an earlier version of distill; its stages are run again.",
            "yellow",
        )
    return pending
