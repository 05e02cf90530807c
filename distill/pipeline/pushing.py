"""From a finished run to the Hub, and back into its records: where the export went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill.pipeline.records import StageFolder
from distill.pipeline.reporting import REPORT
from distill.recipe import ExportSection
from distill.report.model import Report
from distill.report.results.export import ExportResult
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.export.hub import Pushed


def push_run(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Push a run's export, and note in its stage.json and in report.json where it went. Raises
    UserError.
    """
    from distill.export.hub import push

    pushed = push(
        folder / "export",
        repository,
        private=private,
        revision=revision,
        force=force,
        dry_run=dry_run,
    )
    stage = StageFolder(folder, "export", ExportResult)
    record = stage.record()
    if pushed.commit is not None and record is not None:
        result = replace(record.result, pushed_to=pushed.url, reason=None)
        record = replace(record, result=result)
        stage.amend(record)
        report = Report.read(folder / REPORT)
        report.model_copy(update={"export": result}).write(folder / REPORT)
    return pushed


def is_to_be_pushed(section: ExportSection, pushed_to: str | None) -> bool:
    """Whether a recipe asks for a push that has not been made."""
    return section.push is not None and not f"{pushed_to}/".partition("/tree/")[0].rstrip(
        "/"
    ).endswith(f"/{section.push}")


def push_obstacles(section: ExportSection) -> list[str]:
    """What would keep a run from being pushed at its end, so that it can be put right while it
    runs.
    """
    from huggingface_hub import constants

    from distill.export.hub import find_token

    if section.push is None:
        return []
    if constants.HF_HUB_OFFLINE:
        return [
            f"export.push: HF_HUB_OFFLINE is set, so that nothing can be pushed to {section.push} "
            "when the run is done."
        ]
    try:
        find_token()
    except UserError as error:
        return [f"export.push: {error} It is needed when the run is done."]
    return []


@contextmanager
def run_is_kept(folder: Path, section: ExportSection) -> Iterator[None]:
    """A push that fails at the end of a run says that the run is done, and how to push it later."""
    try:
        yield
    except UserError as error:
        private = " --private" if section.private else ""
        raise UserError(
            f"{error}\nThe run is done, and its export is kept in {folder / 'export'}. To push it "
            "later: "
            f"python -m distill export {folder} --push {section.push}{private}"
        ) from error
