"""Which stages must run: those whose record has not the fingerprint that they would have now."""

from __future__ import annotations

from distill.pipeline.records import StageFolder, fingerprint
from distill.pipeline.run import Run
from distill.pipeline.stages import stage_named
from distill.pipeline.stages.stage import Stage
from distill.runtime.errors import UserError


def stage_fingerprint(run: Run, stage: Stage) -> str:
    """The fingerprint that the stage's record would have if it ran now; the stages it reads must
    have records.
    """
    parts = {
        "section": getattr(run.recipe, stage.name).model_dump(mode="json"),
        "reads": {
            name: run.records[name].identity for name in stage.reads if name in run.recipe.stages
        },
        **stage.depends_on(run),
    }
    return fingerprint(parts, stage.name, *stage.borrows)


def pending_stages(run: Run, *, until: str | None, force: str | None) -> list[Stage]:
    """The stages that must run, in order; records of those that need not are put into `run`."""
    for option, name in (("--until", until), ("--force", force)):
        if name is not None and name not in run.recipe.stages:
            raise UserError(
                f"{option} {name}: {run.file.path} has no section {name}; add one, or leave the option out."
            )
    wanted = run.recipe.stages
    pending: list[Stage] = []
    for stage in map(stage_named, wanted[: wanted.index(until) + 1 if until else None]):
        stale = any(name in {other.name for other in pending} for name in stage.reads)
        record = (
            None if stale or stage.name == force else StageFolder(run.folder, stage.name).record()
        )
        if record is None or record.fingerprint != stage_fingerprint(run, stage):
            pending.append(stage)
        else:
            run.records[stage.name] = record
    return pending
