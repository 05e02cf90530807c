"""`distill.export`: a finished run's student as a folder that is ready for the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill.library.models import display

if TYPE_CHECKING:
    from distill.report.results.export import ExportResult


def export(
    run: Path | str,
    *,
    push: str | None = None,
    private: bool = False,
    revision: str | None = None,
    force: bool = False,
    progress: bool | None = None,
) -> ExportResult:
    """The export of a finished run, such as `runs/quickstart`, made again where it is stale.

    With `push`, a Hub repository, it is sent there; `private`, `revision` (a branch) and `force`
    (replace another model) say how. Raises UserError if the run is not finished, or the push fails.
    """
    from distill.pipeline.finished import export_run
    from distill.pipeline.pushing import push_run
    from distill.pipeline.records import StageFolder
    from distill.pipeline.stages.export import STAGE

    folder = Path(run)
    export_run(folder, display(progress))
    if push is not None:
        push_run(folder, push, private=private, revision=revision, force=force)
    record = StageFolder(folder, STAGE.name, STAGE.result).record()
    assert record is not None, "the export was just made"
    return record.result
