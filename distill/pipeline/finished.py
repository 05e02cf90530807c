"""A finished run as its folder tells it, and its export made again where it is stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from distill.pipeline.pending import stage_fingerprint
from distill.pipeline.records import Record, StageFolder
from distill.pipeline.reporting import DONE, REPORT, note_done, write_report
from distill.pipeline.run import Run
from distill.pipeline.running import make_stage
from distill.pipeline.stages import stage_named
from distill.pipeline.stages.export import STAGE as _EXPORT
from distill.recipe import Recipe
from distill.recipe.reading import RecipeFile
from distill.report.model import Report
from distill.runtime.errors import UserError
from distill.runtime.interruption import Interruption
from distill.runtime.lock import locked
from distill.runtime.progress import Progress, silence_libraries


def export_run(folder: Path, progress: Progress, *, dry_run: bool = False) -> list[str]:
    """Make a finished run's export anew if it is missing, cut short or older than the run or this
    package; its files.

    Raises UserError if the run is not finished or under way, or with `dry_run`, if the export would
    have to be made.
    """
    run = open_run(folder, progress)
    stage = _EXPORT.folder(run)
    record = stage.record()
    if (
        record is None
        or record.fingerprint != stage_fingerprint(run, _EXPORT)
        or stage.damage(thorough=True) is not None
    ):
        if dry_run:
            raise UserError(
                f"{stage.final} is missing or out of date; python -m distill export {folder} makes "
                "it."
            )
        silence_libraries()
        with locked(folder):
            record = make_stage(run, _EXPORT)
            write_report(run)
            if (folder / DONE).is_file():  # MLflow has the same student already
                note_done(run)
    else:
        progress.say("export: up to date", "dim")
    return record.result.files


def open_run(folder: Path, progress: Progress) -> Run:
    """A finished run as its folder tells it. Raises UserError if a stage before the export is
    missing or was redone since.
    """
    try:
        report = Report.read(folder / REPORT)
        executions, overrides = report.stages, tuple(report.overrides)
        recipe = Recipe.model_validate(report.recipe)
    except FileNotFoundError:
        what = "has no report.json: its run has not ended" if folder.is_dir() else "is not there"
        raise UserError(
            f"{folder} {what}; name the folder of a finished run, such as runs/quickstart."
        ) from None
    except (OSError, ValueError, UserError) as error:
        raise UserError(
            f"{folder / REPORT} is not one of this version of distill; run the recipe again."
        ) from error
    records: dict[str, Record[Any] | None] = {}
    for name in _EXPORT.reads:
        if name in recipe.stages:
            stage = StageFolder(folder, name, stage_named(name).result)
            if stage.is_of_earlier_version:
                raise UserError(
                    f"{folder} was made by an earlier version of distill; run the recipe again: "
                    f"python -m distill recipe {recipe.name}"
                )
            records[name] = stage.record()
    missing = [
        name
        for name, record in records.items()
        if record is None or record.identity != executions.get(name)
    ]
    if missing:
        raise UserError(
            f"{folder} is not finished: what it has of {', '.join(missing)} is missing or not of "
            "the same run; "
            f"python -m distill recipe {recipe.name} goes on."
        )
    try:
        text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = yaml.safe_dump(report.recipe, allow_unicode=True, sort_keys=False)
    return Run(
        file=RecipeFile(path=folder / "recipe.yaml", text=text, recipe=recipe, overrides=overrides),
        folder=folder,
        progress=progress,
        interruption=Interruption(),
        records={name: record for name, record in records.items() if record is not None},
    )
