"""The report at the end of a run: report.json, report.html, plots and tables, and what MLflow gets
of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.pipeline.records import fingerprint, now
from distill.pipeline.run import Run
from distill.recipe.model_reference import PACKAGE
from distill.report.formats import format_count
from distill.report.model import Report, plain
from distill.runtime.errors import UserError
from distill.runtime.files import RECORD, write_whole
from distill.runtime.secrets import without_password

if TYPE_CHECKING:
    from distill.tracking.best import Standing

REPORT, DONE = "report.json", ".done.json"


def is_reported(run: Run) -> bool:
    """Whether report, tables, plots and MLflow are of the stages as they are, and the files whole:
    a run may have been killed after its last stage.
    """
    try:
        done = json.loads((run.folder / DONE).read_text(encoding="utf-8"))
        stages, tracking, files = dict(done["stages"]), done["tracking"], dict(done["files"])
        Report.read(run.folder / REPORT)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False
    current = all(stages.get(name) == kept.identity for name, kept in run.records.items())
    is_tracked = tracking == run.recipe.tracking.model_dump(mode="json")
    return current and is_tracked and files == _sizes(run.folder)


def note_done(run: Run) -> None:
    """Write that nothing is left to do, as the last thing that a run writes."""
    content = {
        "stages": {name: record.identity for name, record in run.records.items()},
        "tracking": run.recipe.tracking.model_dump(mode="json"),
        "files": _sizes(run.folder),
    }
    write_whole(run.folder / DONE, json.dumps(content, indent=2) + "\n")


def _sizes(folder: Path) -> dict[str, int]:
    """The sizes of what `write_report` leaves, but of report.json, which a push adds to."""
    paths = [path for path in (*folder.iterdir(), *folder.glob("plots/*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(paths)
        if not path.name.startswith(".") and path.name != REPORT
    }


def write_report(run: Run) -> tuple[Report, list[str]]:
    """Write report.json, report.html, the plots, the tables and the recipe; the report, and the
    files' names.
    """
    from distill.report.canvas import to_png
    from distill.report.page import render_page
    from distill.report.plots import draw_plots

    report = run.report
    content = plain(report)
    history_file = run.folder / "distillation" / "history.json"
    history = (
        json.loads(history_file.read_text(encoding="utf-8"))
        if "distillation" in run.records
        else None
    )
    figures = draw_plots(content, history)
    if "inspection" in run.records:
        from distill.inspection.writing import read_figures

        figures |= {
            f"inspection-{name}": figure
            for name, figure in read_figures(run.folder / "inspection").items()
        }
    write_whole(run.folder / "report.html", render_page(content, figures))
    report.write(run.folder / REPORT)
    write_whole(run.folder / "recipe.yaml", without_password(run.file.text))
    plots = run.folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir()
    for name, figure in figures.items():
        (plots / f"{name}.png").write_bytes(to_png(figure))
    return report, ["report.html", REPORT, *_write_tables(run.folder, content)]


def run_name(teacher: str, parameters: int | None = None) -> str:
    """What MLflow calls a run: its teacher, the student's size once it is known, and the day."""
    size = "" if parameters is None else f" to {format_count(parameters)}"
    return f"{Path(teacher.removeprefix(PACKAGE)).name}{size}, {now()[:10]}"


def publish_report(run: Run) -> Report:
    """Write the report and hand it to MLflow."""
    from distill.report.content import headline, summary
    from distill.tracking.best import registered_name

    report, written = write_report(run)
    content = plain(report)
    for plot in sorted((run.folder / "plots").iterdir()):
        run.tracker.artifact(plot, "plots")
    for name in written:
        run.tracker.artifact(run.folder / name)
    if "inspection" in run.records:
        for path in sorted((run.folder / "inspection").iterdir()):
            # Figures are among the plots.
            if path.is_file() and path.name != RECORD and path.suffix != ".png":
                run.tracker.artifact(path, "inspection")
    is_public = without_password(run.file.text) == run.file.text
    run.tracker.artifact(run.file.path if is_public else run.folder / "recipe.yaml")
    if content["student"]:
        run.tracker.rename(run_name(run.recipe.teacher.model, content["student"]["parameters"]))
    run.tracker.log(headline(content))
    run.tracker.describe(summary(content))
    if "export" in run.records:
        run.progress.say("tracking: logging the student as a model", "dim")
        run.tracker.model(run.folder / "export", "student")
        if run.recipe.tracking.registered:
            run.tracker.register(
                registered_name("-".join(run.recipe.languages)), _standing(run, content)
            )
    return report


def _standing(run: Run, content: Mapping[str, Any]) -> Standing:
    """How good the student is on dev, and what that may be compared with."""
    from distill.models import model_identity
    from distill.pipeline.stages.evaluation import measured_how
    from distill.report.content import dev_scores
    from distill.tracking.best import Standing

    teacher = run.recipe.teacher
    identity = model_identity(teacher.model, teacher.revision, run.hashes)
    return Standing(
        teacher=fingerprint(identity),
        tasks=fingerprint(measured_how(run)),
        dev=dev_scores(content, "student"),
    )


def _write_tables(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Scores and benchmark as files that a spreadsheet and a README take, beside the report; the
    names of those there are.
    """
    from distill.report.tables import NAMES, table_texts

    texts = table_texts(content)
    for name in NAMES:
        if name in texts:
            write_whole(folder / name, texts[name])
        else:
            (folder / name).unlink(missing_ok=True)
    return list(texts)
