"""The stages in order: what each reads and writes, which can be skipped, and the report at the end.

A stage is skipped if its folder's record has the fingerprint that it would have now: of its own section of the recipe,
of the executions that it reads from, and of its code. It is thereby redone when anything before it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import Interrupted, UserError
from distill.folders import Record, StageFolder, fingerprint, now, write_whole
from distill.interruption import Interruption
from distill.progress import Progress, format_seconds
from distill.recipe_file import RecipeFile

if TYPE_CHECKING:
    from distill.teacher import Teacher
    from distill.tracking import Tracker


@dataclass(kw_only=True)
class Run:
    """One recipe under way: where it writes, what its stages returned so far, and the models they left."""

    file: RecipeFile
    folder: Path
    progress: Progress
    interruption: Interruption
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def recipe(self) -> Any:
        """The recipe."""
        return self.file.recipe

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow, opened when the first stage has something to say."""
        from distill.tracking import Tracker

        return Tracker(self.recipe.name, self.folder, self.progress)

    @cached_property
    def teacher(self) -> Teacher:
        """The untrimmed teacher, loaded once."""
        from distill.teacher import load_teacher

        self.progress.say(f"loading {self.recipe.teacher.model}", "dim")
        return load_teacher(self.recipe.teacher.model, self.recipe.teacher.revision)

    def results(self) -> dict[str, dict[str, Any]]:
        """What the finished stages returned, by stage."""
        return {stage: record.result for stage, record in self.records.items()}

    @property
    def kept_pieces(self) -> int | None:
        """How many pieces the vocabulary stage kept, if it need not run again."""
        return self.records["vocabulary"].result["kept"] if "vocabulary" in self.records else None

    def texts(self, split: str) -> Iterator[str]:
        """The documents of a split, `train` or `heldout`."""
        from distill.corpus.stage import read_documents

        return (document.text for document in read_documents(self.folder / "corpus" / f"{split}.jsonl"))

    def sentences(self) -> Iterator[str]:
        """The held-out sentences."""
        from distill.corpus.stage import read_documents

        documents = read_documents(self.folder / "corpus" / "heldout.jsonl")
        return (sentence for document in documents for sentence in document.sentences)

    def model_folder(self, name: str) -> Path:
        """The folder of a model by its name in the report."""
        from distill.teacher.loading import model_folder

        stages = {"trimmed": "vocabulary", "initial": "student", "untrained": "student", "student": "distillation"}
        if name == "teacher":
            return model_folder(self.recipe.teacher.model, self.recipe.teacher.revision)
        return self.folder / stages[name] / "model"

    def load(self, name: str) -> Teacher:
        """A model with its tokenizer, by its name in the report."""
        from distill.student.depth import untrained_copy
        from distill.teacher import Teacher, load_model, load_tokenizer

        if name == "teacher":
            return self.teacher
        folder = self.model_folder(name)
        model, tokenizer = load_model(folder), load_tokenizer(str(folder))
        return Teacher(model=untrained_copy(model, self.recipe.seed) if name == "untrained" else model, tokenizer=tokenizer)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the way."""

    name: str
    reads: tuple[str, ...]
    """The stages whose folders it reads."""
    depends_on: Callable[[Run], dict[str, Any]]
    """What it depends on besides: parts of the recipe, and the identity of what it reads from outside."""
    execute: Callable[[Run, Path], Any]
    """Does it, in the folder given, and returns its result."""
    resumable: bool = False


def _run_corpus(run: Run, output: Path) -> Any:
    from distill.corpus import stage

    result = stage.run(run.recipe.corpus, seed=run.recipe.seed, output=output, progress=run.progress)
    for source in result.sources:
        if source["invalid_utf8"] or source["invalid_json"]:
            run.progress.say(
                f"corpus: of {source['lines']:,} lines of {source['location']}, {source['invalid_utf8']:,} are not UTF-8 and "
                f"{source['invalid_json']:,} not JSON objects; they were left out (first: {source['first_invalid']})",
                "yellow",
            )
    return result


def _run_vocabulary(run: Run, output: Path) -> Any:
    from distill.vocabulary import stage

    return stage.run(
        run.recipe.vocabulary,
        teacher=run.teacher,
        texts=run.texts("train"),
        heldout=run.sentences(),
        output=output,
        progress=run.progress,
    )


def _run_student(run: Run, output: Path) -> Any:
    from distill.student import stage

    described = {"name": run.recipe.teacher.model, **stage.describe_model(run.teacher.model)}
    return stage.run(
        run.recipe.student, trimmed=run.load("trimmed"), teacher=described, texts=run.texts("train"), output=output
    )


def _run_distillation(run: Run, output: Path) -> Any:
    from distill.distillation import stage

    return stage.run(
        run.recipe.distillation,
        teacher=run.load("trimmed"),
        teacher_section=run.recipe.teacher,
        student=run.load("initial").model,
        layers=run.records["student"].result["teacher_layers"],
        texts=run.texts("train"),
        heldout=run.texts("heldout"),
        seed=run.recipe.seed,
        output=output,
        interruption=run.interruption,
        progress=run.progress,
        log=run.tracker.log,
    )


def _run_evaluation(run: Run, output: Path) -> Any:
    from distill.evaluation import stage

    def on_scores(model: str, task: str, scores: Any) -> None:
        with run.tracker.child(f"evaluation/{model}/{task}", {"stage": "evaluation", "model": model, "task": task}):
            for score in scores:
                run.tracker.log(
                    {score.metric: score.mean, f"{score.metric}/low": score.low, f"{score.metric}/high": score.high}
                )
                run.tracker.log({f"{score.metric}/retention": score.retention})

    return stage.run(
        run.recipe.evaluation,
        load=run.load,
        teacher_section=run.recipe.teacher,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        on_scores=on_scores,
    )


def _run_benchmark(run: Run, output: Path) -> Any:
    from distill.benchmark import stage

    return stage.run(run.recipe.benchmark, load=run.load, folder_of=run.model_folder, output=output, progress=run.progress)


def _run_export(run: Run, output: Path) -> Any:
    from itertools import islice

    from distill.export import stage
    from distill.report.content import report_content

    changes = "".join(f"# --set {override}\n" for override in run.file.overrides)
    return stage.run(
        run.recipe.export,
        student=run.load("student"),
        report=report_content(run.recipe, run.results()),
        recipe_text=changes + run.file.text,
        sentences=list(islice(run.sentences(), 64)),
        path=Path(run.folder.name) / "export",
        output=output,
    )


def _depends_on_teacher(run: Run) -> dict[str, Any]:
    from distill.teacher import describe_teacher

    return describe_teacher(run.recipe.teacher.model, run.recipe.teacher.revision)


def _depends_on_sources(sources: list[Any]) -> list[dict[str, Any]]:
    from distill.corpus.sources import describe_source

    return [describe_source(source) for source in sources]


STAGES: tuple[Stage, ...] = (
    Stage(
        name="corpus",
        reads=(),
        depends_on=lambda run: {"seed": run.recipe.seed, "sources": _depends_on_sources(run.recipe.corpus.sources)},
        execute=_run_corpus,
    ),
    Stage(
        name="vocabulary",
        reads=("corpus",),
        depends_on=lambda run: {"teacher": _depends_on_teacher(run)},
        execute=_run_vocabulary,
    ),
    Stage(name="student", reads=("vocabulary",), depends_on=lambda run: {}, execute=_run_student),
    Stage(
        name="distillation",
        reads=("corpus", "vocabulary", "student"),
        depends_on=lambda run: {"seed": run.recipe.seed, "teacher": run.recipe.teacher.model_dump(exclude={"licence"})},
        execute=_run_distillation,
        resumable=True,
    ),
    Stage(
        name="evaluation",
        reads=("vocabulary", "student", "distillation"),
        depends_on=lambda run: {
            "seed": run.recipe.seed,
            "teacher": run.recipe.teacher.model_dump(exclude={"licence"}),
            "sources": _depends_on_sources([task.source for task in run.recipe.evaluation.tasks]),
        },
        execute=_run_evaluation,
    ),
    Stage(
        name="benchmark",
        reads=("vocabulary", "student", "distillation"),
        depends_on=lambda run: {},
        execute=_run_benchmark,
    ),
    Stage(
        name="export",
        reads=("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark"),
        depends_on=lambda run: {"recipe": run.file.text, "overrides": run.file.overrides},
        execute=_run_export,
    ),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)


def stage_fingerprint(run: Run, stage: Stage) -> str:
    """The fingerprint that the stage's record would have if it ran now; the stages it reads must have records."""
    parts = {
        "section": getattr(run.recipe, stage.name).model_dump(mode="json"),
        "reads": {name: run.records[name].identity for name in stage.reads},
        **stage.depends_on(run),
    }
    return fingerprint(parts, stage.name)


def pending_stages(run: Run, *, until: str | None, force: str | None) -> list[Stage]:
    """The stages that must run, in order; records of those that need not are put into `run`."""
    wanted = STAGES[: STAGE_NAMES.index(until) + 1] if until else STAGES
    pending: list[Stage] = []
    for stage in wanted:
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

    try:
        pending = pending_stages(run, until=until, force=force)
    except UserError:
        check_surroundings(run.recipe)  # finds every problem, of which this was the first
        raise
    if not pending and _is_reported(run):
        run.progress.say(f"{run.recipe.name}: nothing to do; every stage is up to date (report: {run.folder / 'report.html'})")
        return
    for name in run.records:
        run.progress.say(f"{name}: up to date", "dim")
    if pending:
        check_surroundings(run.recipe)
        if any(stage.name == "distillation" for stage in pending):  # what takes the room is its models and checkpoints
            check_space(make_plan(run.recipe, run.kept_pieces), run.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        _silence_libraries()
    if force and StageFolder(run.folder, force).partial.exists():
        StageFolder(run.folder, force).discard()
    parameters = {**run.recipe.model_dump(mode="json", exclude_none=True), "overrides": " ".join(run.file.overrides) or "none"}
    tags = {"teacher": run.recipe.teacher.model, "language": run.recipe.language}
    run.tracker.start(run.recipe.name, parameters, tags)
    try:
        for stage in pending:
            _run_stage(run, stage)
        _report(run)
    except Interrupted:
        run.tracker.finish("KILLED")
        raise
    except BaseException:
        run.tracker.finish("FAILED")
        raise
    run.tracker.finish("FINISHED")


def _run_stage(run: Run, stage: Stage) -> None:
    """Run one stage in a folder of its own and put it into place."""
    run.interruption.check()
    mark = stage_fingerprint(run, stage)
    folder = StageFolder(run.folder, stage.name)
    started, clock = now(), time.monotonic()
    with run.tracker.child(stage.name, {"stage": stage.name, "language": run.recipe.language}):
        result = asdict(stage.execute(run, folder.begin(mark, resumable=stage.resumable)))
        seconds = time.monotonic() - clock
        run.tracker.log({**_figures(result), "seconds": seconds})
    record = Record(fingerprint=mark, started=started, finished=now(), seconds=seconds, result=result)
    folder.finish(record)
    run.records[stage.name] = record
    run.progress.say(f"{stage.name}: done in {format_seconds(seconds)}")


def _is_reported(run: Run) -> bool:
    """Whether the report is of the stages as they are: a run may have been killed between its last stage and its report."""
    try:
        reported = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError):
        return False
    current = all(reported.get(name) == record.identity for name, record in run.records.items())
    return current and (run.folder / "report.html").is_file()


def _report(run: Run) -> None:
    """Write report.json, report.html and the plots, and hand them to MLflow."""
    from distill.report.content import headline, report_content
    from distill.report.page import render_page
    from distill.report.plots import draw_plots, to_png

    content = report_content(run.recipe, run.results())
    content["overrides"] = list(run.file.overrides)
    content["stages"] = {name: record.identity for name, record in run.records.items()}
    history_file = run.folder / "distillation" / "history.json"
    history = json.loads(history_file.read_text(encoding="utf-8")) if "distillation" in run.records else None
    figures = draw_plots(content, history)
    write_whole(run.folder / "report.html", render_page(content, figures))
    write_whole(run.folder / "report.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    plots = run.folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir()
    for name, figure in figures.items():
        (plots / f"{name}.png").write_bytes(to_png(figure))
        run.tracker.artifact(plots / f"{name}.png", "plots")
    for name in ("report.html", "report.json"):
        run.tracker.artifact(run.folder / name)
    run.tracker.artifact(run.file.path)
    run.tracker.log(headline(content))
    if "export" in run.records:
        run.progress.say("tracking: logging the student as a model", "dim")
        run.tracker.model(run.folder / "export", "student")


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in result.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


def _silence_libraries() -> None:
    """Their progress bars and advice would break ours."""
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def stage_named(name: str | None, option: str) -> str | None:
    """`name` if it is a stage's. Raises UserError otherwise."""
    if name is not None and name not in STAGE_NAMES:
        import difflib

        near = difflib.get_close_matches(name, STAGE_NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"stages: {', '.join(STAGE_NAMES)}."
        raise UserError(f"{option} {name}: there is no such stage; {hint}")
    return name
