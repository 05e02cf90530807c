"""What must run, runs: fingerprints, skipping, resuming, tracking, and the report at the end.

A stage is skipped if its folder's record has the fingerprint that it would have now: of its own section of the recipe,
of the executions that it reads from, and of its code. It is thereby redone when anything before it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.errors import Interrupted, UserError
from distill.folders import RECORD, Record, StageFolder, fingerprint, now, write_whole
from distill.progress import format_seconds, silence_libraries
from distill.run import Run
from distill.stages import Stage, stage_named


def stage_fingerprint(run: Run, stage: Stage) -> str:
    """The fingerprint that the stage's record would have if it ran now; the stages it reads must have records."""
    parts = {
        "section": getattr(run.recipe, stage.name).model_dump(mode="json"),
        "reads": {name: run.records[name].identity for name in stage.reads if name in run.recipe.stages},
        **stage.depends_on(run),
    }
    return fingerprint(parts, stage.name, *stage.borrows)


def pending_stages(run: Run, *, until: str | None, force: str | None) -> list[Stage]:
    """The stages that must run, in order; records of those that need not are put into `run`."""
    for option, name in (("--until", until), ("--force", force)):
        if name is not None and name not in run.recipe.stages:
            raise UserError(f"{option} {name}: {run.file.path} has no section {name}; add one, or leave the option out.")
    wanted = run.recipe.stages
    pending: list[Stage] = []
    for stage in map(stage_named, wanted[: wanted.index(until) + 1 if until else None]):
        stale = any(name in {other.name for other in pending} for name in stage.reads)
        record = None if stale or stage.name == force else StageFolder(run.folder, stage.name).record()
        if record is None or record.fingerprint != stage_fingerprint(run, stage):
            pending.append(stage)
        else:
            run.records[stage.name] = record
    return pending


def run_recipe(run: Run, *, until: str | None = None, force: str | None = None) -> None:
    """Run the stages that must run, one after another, and write the report.

    Raises UserError for what the user can mend and Interrupted after a signal; finished stages stay.
    """
    from distill.plan import check_space, check_surroundings, make_plan
    from distill.pushing import push_obstacles
    from distill.tracking import send_what_was_kept
    from distill.tracking.surroundings import describe_surroundings

    try:
        pending = pending_stages(run, until=until, force=force)
    except UserError:
        check_surroundings(run.recipe)  # finds every problem, of which this was the first
        raise
    if not pending and _is_reported(run):
        send_what_was_kept(run.recipe.name, run.folder, run.progress)
        run.progress.say(f"{run.recipe.name}: nothing to do; every stage is up to date (report: {run.folder / 'report.html'})")
        _push(run)
        return
    for name in run.records:
        run.progress.say(f"{name}: up to date", "dim")
    if pending:
        check_surroundings(run.recipe)
        if any(stage.name == "distillation" for stage in pending):  # what takes the room is its models and checkpoints
            check_space(make_plan(run.recipe, run.kept_pieces), run.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        silence_libraries()
        if pending[-1].name == "export":
            run.progress.warn(push_obstacles(run.recipe.export))
    parameters = {**run.recipe.model_dump(mode="json", exclude_none=True), "overrides": " ".join(run.file.overrides) or "none"}
    tags = {"teacher": run.recipe.teacher.model, "language": run.recipe.language, **describe_surroundings(run.file.path)}
    run.tracker.start(" ".join([run.recipe.name, *run.file.overrides]), parameters, tags)
    try:
        for stage in pending:
            with run.tracker.child(stage.name, {"stage": stage.name}, with_system=stage.name == "distillation"):
                record = make_stage(run, stage, forced=stage.name == force)
                run.tracker.log({**_figures(record.result), "seconds": record.seconds})
        _report(run)
    except Interrupted:
        run.tracker.finish("KILLED")
        raise
    except BaseException:
        run.tracker.finish("FAILED")
        raise
    run.tracker.finish("FINISHED")
    _push(run)


def make_stage(run: Run, stage: Stage, *, forced: bool = False) -> Record:
    """Run one stage in a folder of its own and put it into place."""
    run.interruption.check()
    mark = stage_fingerprint(run, stage)
    folder = StageFolder(run.folder, stage.name)
    started, clock = now(), time.monotonic()
    # Forced work is its own: it doesn't go on from what was there, but after an interruption from itself.
    partial = folder.begin(f"{mark} forced" if forced else mark, resumable=stage.resumable)
    if stage.shared:
        run.processes.share((stage.name, str(partial), {name: asdict(record) for name, record in run.records.items()}))
    result = asdict(stage.execute(run, partial))
    seconds = time.monotonic() - clock
    record = Record(fingerprint=mark, started=started, finished=now(), seconds=seconds, result=result)
    folder.finish(record)
    run.records[stage.name] = record
    run.progress.say(f"{stage.name}: done in {format_seconds(seconds)}")
    return record


def follow(run: Run) -> None:
    """What every process of a launch but the first does: its part of the stages that are shared out, until there is none."""
    silence_libraries()
    while (call := run.processes.share(None)) is not None:
        name, folder, records = call
        run.records = {stage: Record(**record) for stage, record in records.items()}
        stage_named(name).execute(run, Path(folder))


def _is_reported(run: Run) -> bool:
    """Whether the report is of the stages as they are: a run may have been killed between its last stage and its report."""
    try:
        content = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
        reported, tracking = content["stages"], content["recipe"]["tracking"]
    except (OSError, ValueError, KeyError):
        return False
    current = all(reported.get(name) == record.identity for name, record in run.records.items())
    return current and tracking == run.recipe.tracking.model_dump(mode="json") and (run.folder / "report.html").is_file()


def _push(run: Run) -> None:
    """Push the finished export where the recipe asks for it. Raises UserError; all that was run stays."""
    from distill.pushing import is_to_be_pushed, push_run, run_is_kept

    section, record = run.recipe.export, run.records.get("export")
    if section.push is None or record is None or not is_to_be_pushed(section, record.result["pushed_to"]):
        return
    run.progress.say(f"export: pushing to {section.push}", "dim")
    with run_is_kept(run.folder, section):
        pushed = push_run(run.folder, section.push, private=section.private)
    run.progress.say(f"export: pushed to {pushed.url} as {pushed.tag}")


def write_report(run: Run) -> tuple[dict[str, Any], list[str]]:
    """Write report.json, report.html, the plots, the tables and the recipe; what report.json holds, and the files' names."""
    from distill.report.canvas import to_png
    from distill.report.content import report_content
    from distill.report.page import render_page
    from distill.report.plots import draw_plots

    content = report_content(run.recipe, run.results())
    content["overrides"] = list(run.file.overrides)
    content["stages"] = {name: record.identity for name, record in run.records.items()}
    history_file = run.folder / "distillation" / "history.json"
    history = json.loads(history_file.read_text(encoding="utf-8")) if "distillation" in run.records else None
    figures = draw_plots(content, history)
    if "inspection" in run.records:
        from distill.inspection.writing import read_figures

        figures |= {f"inspection-{name}": figure for name, figure in read_figures(run.folder / "inspection").items()}
    write_whole(run.folder / "report.html", render_page(content, figures))
    write_whole(run.folder / "report.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    write_whole(run.folder / "recipe.yaml", run.file.text)
    plots = run.folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir()
    for name, figure in figures.items():
        (plots / f"{name}.png").write_bytes(to_png(figure))
    return content, ["report.html", "report.json", *_write_tables(run.folder, content)]


def _report(run: Run) -> None:
    """Write the report and hand it to MLflow."""
    from distill.report.content import headline, leading_retention, summary
    from distill.tracking.model import registered_name

    content, written = write_report(run)
    for plot in sorted((run.folder / "plots").iterdir()):
        run.tracker.artifact(plot, "plots")
    for name in written:
        run.tracker.artifact(run.folder / name)
    if "inspection" in run.records:
        for path in sorted((run.folder / "inspection").iterdir()):
            if path.is_file() and path.name != RECORD and path.suffix != ".png":  # figures are among the plots
                run.tracker.artifact(path, "inspection")
    run.tracker.artifact(run.file.path)
    run.tracker.log(headline(content))
    run.tracker.describe(summary(content))
    if "export" in run.records:
        run.progress.say("tracking: logging the student as a model", "dim")
        run.tracker.model(run.folder / "export", "student")
        if run.recipe.tracking.registered:
            run.tracker.register(registered_name(run.recipe.language), leading_retention(content))


def _write_tables(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Scores and benchmark as files that a spreadsheet and a README take, beside the report; the names of those there are."""
    from distill.report.tables import NAMES, table_texts

    texts = table_texts(content)
    for name in NAMES:
        if name in texts:
            write_whole(folder / name, texts[name])
        else:
            (folder / name).unlink(missing_ok=True)
    return list(texts)


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in result.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
