"""Stages are skipped, redone, stopped and resumed: the real command line on a tiny recipe."""

from __future__ import annotations

import csv
import json
import os
import random
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import distill_command, distill_environment, swedish_sentences
from tests.evaluation.conftest import toy_records

STAGES = ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Place:
    """A working folder in which one recipe is run."""

    folder: Path
    recipe: Path

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "tiny"

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.run / "report.json").read_text())

    def started(self) -> dict[str, str]:
        """When each finished stage was started."""
        return {
            path.parent.name: json.loads(path.read_text())["started"]
            for path in self.run.glob("[a-z]*/stage.json")
        }

    def distill(self, *arguments: object) -> Done:
        command = distill_command("recipe", self.recipe, *arguments)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=distill_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done

    def start(self, *arguments: object, cold: bool = True) -> subprocess.Popen[str]:
        command = distill_command("recipe", self.recipe, *arguments, cold=cold)
        return subprocess.Popen(
            command, cwd=self.folder, env=distill_environment(), stderr=subprocess.PIPE, text=True
        )

    def parents(self) -> dict[str, str]:
        """The status of each recipe run in MLflow, by id."""
        query = (
            "SELECT run_uuid, status FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM "
            "tags WHERE key = ?)"
        )
        with closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db")) as database:
            return dict(database.execute(query, ("mlflow.parentRunId",)).fetchall())


@pytest.fixture(scope="module")
def shared() -> dict[str, Place]:
    return {}


@pytest.fixture
def finished(shared, write_recipe, tiny_teacher, tmp_path_factory) -> Place:
    """A finished run that all tests read and none writes to."""
    if "finished" not in shared:
        models = ["teacher", "trimmed", "student", "student_int8", str(tiny_teacher)]
        place = Place(
            tmp_path_factory.mktemp("finished"), write_recipe(**{"benchmark.models": models})
        )
        place.distill()
        shared["finished"] = place
    return shared["finished"]


@pytest.fixture
def copied(finished, tmp_path) -> Callable[[str], Place]:
    """`copied(name)`: a copy of the finished run to go on from."""

    def copy(name: str = "copy") -> Place:
        folder = tmp_path / name
        shutil.copytree(finished.folder, folder)
        return Place(folder, finished.recipe)

    return copy


@pytest.fixture
def fresh(finished, tmp_path) -> Place:
    """The same recipe in a folder where nothing was run, with MLflow's store (a fresh one takes
    seconds).
    """
    (tmp_path / "fresh").mkdir()
    shutil.copytree(finished.folder / "mlruns", tmp_path / "fresh" / "mlruns")
    return Place(tmp_path / "fresh", finished.recipe)


def _redone(place: Place, before: Place) -> set[str]:
    then, now = before.started(), place.started()
    return {stage for stage in now if now[stage] != then.get(stage)}


def test_without_the_teacher_models_are_compared_with_the_trimmed_one(copied):
    place = copied()
    place.distill("--set", "evaluation.models=[trimmed,student]")
    trimmed, student = (
        next(row for row in place.report["evaluation"] if row["model"] == name)
        for name in ("trimmed", "student")
    )
    assert student["difference"] == pytest.approx(student["mean"] - trimmed["mean"])
    assert (trimmed["difference"], trimmed["reason"]) == (0, None)
    card = (place.run / "export" / "README.md").read_text()
    assert "The difference is from the trimmed teacher" in card


def test_a_finished_run_has_nothing_to_do(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")}
    probe = (
        "import sys; from distill.cli import main\ntry:\n    main()\nfinally:\n    "
        "print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-c", probe, "recipe", str(finished.recipe)]
    done = subprocess.run(
        command, cwd=finished.folder, env=distill_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "tiny: nothing to do; every stage is up to date" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")} == before
    assert not {"torch", "transformers", "mlflow", "datasets"} & set(
        done.stdout.split()
    )  # hence within seconds


def test_another_token_budget_redoes_distillation_and_what_reads_it(finished, copied):
    place = copied()
    done = place.distill("--set", "distillation.tokens=2000")
    assert _redone(place, finished) == {"distillation", "evaluation", "benchmark", "export"}
    for stage in ("corpus", "vocabulary", "student"):
        assert f"{stage}: up to date" in done.stderr
    assert 2000 <= place.report["distillation"]["tokens"] < 2000 + 256
    assert place.report["overrides"] == ["distillation.tokens=2000"]


def test_force_redoes_a_stage_and_what_reads_it(finished, copied):
    place = copied()
    place.distill("--force", "evaluation")
    assert _redone(place, finished) == {"evaluation", "export"}
    assert place.report["evaluation"] == finished.report["evaluation"]


def test_an_edited_text_redoes_the_corpus(finished, copied):
    place, text = copied(), finished.recipe.parent / "text" / "0.jsonl"
    content, times = text.read_bytes(), (text.stat().st_atime_ns, text.stat().st_mtime_ns)
    try:
        text.write_bytes(
            content
            + json.dumps({"text": "En helt ny mening om fiskar och skepp."}).encode()
            + b"\n"
        )
        place.distill("--until", "corpus")
    finally:
        text.write_bytes(content)
        os.utime(text, ns=times)
    assert _redone(place, finished) == {"corpus"}
    assert place.report["corpus"]["documents"] == finished.report["corpus"]["documents"] + 1


def test_until_stops_after_a_stage_and_the_report_says_what_is_missing(fresh):
    leftover = fresh.run / ".corpus.partial"  # of a try that was cut off
    leftover.mkdir(parents=True)
    (leftover / "train.jsonl").write_text("half a li")
    fresh.distill("--until", "vocabulary")
    assert set(fresh.started()) == {"corpus", "vocabulary"}
    assert not leftover.exists()
    report = fresh.report
    assert report["vocabulary"]["kept"] > 0
    assert all(
        report[key] is None
        for key in ("student", "distillation", "evaluation", "benchmark", "export")
    )
    assert report["reason"] == "not run yet: student, distillation, evaluation, benchmark, export"


def test_a_dry_run_prints_the_plan_and_writes_nothing(fresh):
    before = sorted(fresh.folder.rglob("*"))
    plan = fresh.distill("--dry-run").stdout
    assert sorted(fresh.folder.rglob("*")) == before
    for stage in STAGES:
        assert f"{stage:<14}to do" in plan
    for part in (
        "teacher: ",
        "student: about ",
        "parameters",
        "kB",
        "4,000 tokens",
        "floating-point operations",
    ):
        assert part in plan


def test_a_dry_run_after_a_run_tells_what_was_measured(finished):
    plan = finished.distill("--dry-run", "--set", "distillation.tokens=5k").stdout
    assert "student       up to date" in plan
    assert "distillation  to do, about" in plan and "by the last run here" in plan
    assert f"{finished.report['vocabulary']['kept']:,} pieces" in plan
    assert "about" not in plan.split("student: ")[1].splitlines()[0]


CONTRACT: dict[str, dict[str, Any]] = {
    "teacher": {"name": str, "parameters": int, "vocabulary_size": int},
    "corpus": {"documents": int, "bytes": int, "heldout_documents": int},
    "vocabulary": {
        **{
            "original": int,
            "kept": int,
            "heldout_sentences": int,
            "heldout_identical": float,
            "heldout_unk_rate": float,
        },
        **{
            "heldout_unk_rate_original": float,
            "tokens_per_word": float,
            "tokens_per_word_original": float,
        },
        "max_abs_hidden_difference": float,
    },
    "student": {
        **{"parameters": int, "embedding_parameters": int, "layers": int, "hidden_size": int},
        **{"intermediate_size": int, "vocabulary_size": int},
    },
    "distillation": {
        **{
            "tokens": int,
            "steps": int,
            "seconds": float,
            "tokens_per_second": float,
            "final_loss": float,
        },
        **{"objectives": dict, "resumed_from": type(None)},
    },
    "evaluation": {
        **{
            "model": str,
            "task": str,
            "metric": str,
            "scores": list,
            "mean": float,
            "low": float,
            "high": float,
        },
        "retention": float,
    },
    "benchmark": {
        **{
            "model": str,
            "device": str,
            "threads": int,
            "precision": str,
            "batch_size": int,
            "length": int,
        },
        **{
            "median_ms": float,
            "p95_ms": float,
            "sequences_per_second": float,
            "parameters": int,
            "bytes_on_disk": int,
        },
        **{"peak_memory_bytes": int, "runtime": str, "load_ms": float, "floor_ms": float},
    },
    "export": {"path": str, "files": list, "pushed_to": type(None)},
}


@pytest.mark.parametrize("part", CONTRACT)
def test_the_report_has_the_contracts_keys(finished, part):
    content = finished.report[part]
    rows = content if isinstance(content, list) else [content]
    assert rows
    for row in rows:
        found = {key: type(row[key]) for key in CONTRACT[part]}
        assert found == CONTRACT[part]


def test_the_report_agrees_with_the_files(finished):
    report = finished.report
    assert report["recipe"]["name"] == "tiny"
    export = finished.run / "export"
    files = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    assert report["export"]["files"] == sorted(files - {"stage.json"})
    assert (
        report["student"]["vocabulary_size"]
        == report["vocabulary"]["kept"]
        < report["vocabulary"]["original"]
    )
    assert report["evaluation"][0]["model"] == "teacher"
    assert report["export"]["reason"]
    assert {row["model"] for row in report["evaluation"]} == {
        "teacher",
        "trimmed",
        "student",
        "student_int8",
        "initial",
        "untrained",
    }
    for row in report["evaluation"]:
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
    for row in report["benchmark"]:
        assert 0 < row["median_ms"] <= row["p95_ms"]


def test_the_benchmark_has_the_student_in_int8_and_any_model_named(finished, tiny_teacher):
    rows = {row["model"]: row for row in finished.report["benchmark"]}
    assert (rows["student_int8"]["runtime"], rows["student_int8"]["precision"]) == ("onnx", "int8")
    assert rows["student_int8"]["parameters"] == finished.report["student"]["parameters"]
    assert rows[str(tiny_teacher)]["parameters"] == finished.report["teacher"]["parameters"]


def test_the_benchmark_lies_beside_the_report_as_markdown_and_csv(finished):
    with (finished.run / "benchmark.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["median_ms"]) for row in rows] == [
        row["median_ms"] for row in finished.report["benchmark"]
    ]
    assert "| student_int8 | ONNX int8 |" in (finished.run / "benchmark.md").read_text(
        encoding="utf-8"
    )


def test_the_scores_lie_beside_the_report_as_markdown_and_csv(finished):
    with (finished.run / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    for row in finished.report["evaluation"]:
        assert rows[row["model"]][f"{row['task']} {row['metric']} mean"] == str(row["mean"])
    assert "| student |" in (finished.run / "scores.md").read_text(encoding="utf-8")


LONG = (
    "--set",
    "distillation.tokens=150k",
    "--set",
    "distillation.checkpoint_seconds=0.2",
    "--until",
    "distillation",
)


@pytest.fixture
def uninterrupted(shared, finished, tmp_path_factory) -> Place:
    """The longer distillation in one go, from the finished run's student."""
    if "uninterrupted" not in shared:
        folder = tmp_path_factory.mktemp("uninterrupted") / "copy"
        shutil.copytree(finished.folder, folder)
        place = Place(folder, finished.recipe)
        place.distill(*LONG)
        shared["uninterrupted"] = place
    return shared["uninterrupted"]


def _cut_off(
    place: Place,
    number: signal.Signals,
    ready: Callable[[Path], bool],
    *arguments: object,
    delay: float = 0.0,
) -> Done:
    """Start the command and send it a signal some seconds after its run folder is `ready`."""
    process = place.start(*arguments, cold=number == signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not ready(place.run):
        assert process.poll() is None and time.monotonic() < deadline, (
            f"it did not come so far: {process.communicate()[1]}"
        )
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    return Done(process.args, process.returncode, "", told)


def _has_checkpoint(run: Path) -> bool:
    """Whether a step of the distillation has been saved; the checkpoint of no step is there before
    the first one.
    """
    try:
        state = json.loads(
            (run / ".distillation.partial" / "checkpoint" / "state.json").read_text()
        )
    except FileNotFoundError:  # not yet, or between the two renames of a save
        return False
    return state["loop"]["step"] > 0


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
    ids=lambda number: number.name,
)
def test_a_distillation_that_was_cut_off_goes_on_to_the_same_weights(
    uninterrupted, finished, copied, number
):
    place, delay = copied(), random.random()
    earlier = set(place.parents())
    cut = _cut_off(place, number, _has_checkpoint, *LONG, delay=delay)
    (parent,) = set(place.parents()) - earlier
    if number == signal.SIGKILL:
        assert cut.returncode == -signal.SIGKILL
    else:
        assert cut.returncode == 1, cut.stderr
        note = cut.stderr.splitlines()[-1]
        assert note.startswith("Interrupted; what is done is kept.")
        assert shlex.split(note.split("goes on: ")[1]) == [
            "python",
            "-m",
            "distill",
            "recipe",
            str(place.recipe),
            *LONG,
        ]
        assert place.parents()[parent] == "KILLED"
    assert place.started()["distillation"] == finished.started()["distillation"], (
        "it was done before the signal came"
    )

    place.distill(*LONG)
    weights = Path("distillation") / "model" / "model.safetensors"
    assert (place.run / weights).read_bytes() == (uninterrupted.run / weights).read_bytes(), (
        f"after {delay} s"
    )
    assert (finished.run / weights).read_bytes() != (uninterrupted.run / weights).read_bytes()
    distillation, whole = place.report["distillation"], uninterrupted.report["distillation"]
    assert 0 < distillation["resumed_from"] < distillation["steps"]
    for key in ("steps", "tokens", "final_loss", "fidelity"):
        assert distillation[key] == whole[key]
    assert whole["resumed_from"] is None
    assert set(place.parents()) - earlier == {parent}
    assert place.parents()[parent] == "FINISHED"


def test_a_forced_stage_forgets_what_a_cut_off_try_left(copied):
    place = copied()
    _cut_off(place, signal.SIGKILL, _has_checkpoint, *LONG)
    place.distill(*LONG, "--force", "distillation", "--set", "distillation.tokens=3000")
    assert place.report["distillation"]["resumed_from"] is None
    assert not (place.run / ".distillation.partial").exists()


@pytest.mark.parametrize("stage", [pytest.param("corpus", marks=pytest.mark.slow), "vocabulary"])
def test_a_kill_in_an_early_stage_is_mended_by_the_same_command(finished, fresh, stage):
    cut = _cut_off(
        fresh,
        signal.SIGKILL,
        lambda run: (run / f".{stage}.partial").exists(),
        "--until",
        "vocabulary",
    )
    assert cut.returncode == -signal.SIGKILL
    fresh.distill("--until", "vocabulary")
    assert _untimed(fresh.report["vocabulary"]) == _untimed(finished.report["vocabulary"])
    assert not list(fresh.run.glob(".*.partial"))


def _untimed(vocabulary: dict) -> dict:
    return {key: value for key, value in vocabulary.items() if key != "compared_seconds"}


def _measured(run: Path) -> list[str]:
    """The whole lines of an evaluation under way."""
    path = run / ".evaluation.partial" / "measured.jsonl"
    return path.read_text().splitlines(keepends=True) if path.is_file() else []


def test_an_evaluation_that_was_killed_goes_on_to_the_same_scores(copied, tmp_path):
    splits = {"train": toy_records(80), "test": toy_records(60, seed=1)}
    for name, rows in splits.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"name": "toy", "kind": "classification", "metrics": ["accuracy", "mcc"]}
    task |= {name: {"path": str(tmp_path / f"{name}.jsonl")} for name in splits}
    evaluation = {
        "models": ["teacher", "student"],
        "tasks": [task],
        "seeds": 3,
        "learning_rates": [3e-3],
        "epochs": 3,
    }
    evaluation |= {"max_length": 48, "precision": "float32"}
    changed = ("--set", f"evaluation={json.dumps(evaluation)}", "--until", "evaluation")
    whole, place = copied("whole"), copied("cut")
    whole.distill(*changed)
    cut = _cut_off(place, signal.SIGKILL, lambda run: len(_measured(run)) >= 2, *changed)
    before = [line for line in _measured(place.run) if line.endswith("\n")]
    assert cut.returncode == -signal.SIGKILL and 2 <= len(before) < 2 * 3
    place.distill(*changed)
    after = (place.run / "evaluation" / "measured.jsonl").read_text().splitlines(keepends=True)
    # Each line says how many seconds it took: what was there has not been measured again.
    assert after[: len(before)] == before and len(after) == 2 * 3
    assert place.report["evaluation"] == whole.report["evaluation"]
    assert [len(row["scores"]) for row in place.report["evaluation"]] == [3] * 4


def _parallel(folder: Path) -> Path:
    folder.mkdir()
    for language, at in (("sv", 0), ("da", 1), ("no", 2)):
        texts = [
            swedish_sentences(3, seed)[at] for seed in range(8)
        ]  # of the documents that the run learns from
        rows = [json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)]
        (folder / f"{language}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Inspected:
    """A finished run with an inspection, which no test writes to."""

    place: Place
    sentences: Path

    def asked(self) -> tuple[str, ...]:
        given = (f"inspection.sentences={self.sentences}", "inspection.drawn_sentences=3")
        return tuple(part for setting in given for part in ("--set", setting))


@pytest.fixture
def inspected_run(shared, finished, tmp_path_factory) -> Inspected:
    if "inspected" not in shared:
        folder = tmp_path_factory.mktemp("inspected")
        shutil.copytree(finished.folder, folder / "copy")
        place = Place(folder / "copy", finished.recipe)
        run = Inspected(place, _parallel(folder / "sentences"))
        place.distill(*run.asked())
        shared["inspected"] = run
    return shared["inspected"]


def test_an_inspection_is_a_part_of_the_run_and_its_report(finished, inspected_run):
    place = inspected_run.place
    before = finished.report
    assert before["inspection"] is None and "inspection" not in before.get("reason", "")
    assert _redone(place, finished) == {"inspection", "export"}
    inspected = place.report["inspection"]
    assert [model["model"] for model in inspected["models"]] == [
        "teacher",
        "trimmed",
        "student",
    ] and inspected["kept"] == "sv"
    trimmed = inspected["models"][1]
    assert [row[layer] for layer, row in enumerate(trimmed["cka"])] == pytest.approx(
        [1] * 5, abs=1e-3
    )
    page = (place.run / "report.html").read_text()
    assert "The look inside" in page and page.count("<svg") > (
        finished.run / "report.html"
    ).read_text().count("<svg")
    assert (place.run / "inspection" / "inspection.html").is_file() and (
        place.run / "plots" / "inspection-layers.png"
    ).is_file()


def test_an_inspection_is_redone_where_its_sentences_changed(inspected_run):
    place = inspected_run.place
    before = place.started()
    place.distill(*inspected_run.asked())
    assert place.started() == before
    (inspected_run.sentences / "no.jsonl").rename(inspected_run.sentences / "aside")
    try:
        plan = place.distill(*inspected_run.asked(), "--dry-run")
    finally:
        (inspected_run.sentences / "aside").rename(inspected_run.sentences / "no.jsonl")
    planned = {line.split()[0] for line in plan.stdout.splitlines() if "  to do" in line}
    assert planned == {"inspection", "export"}, plan.stdout


def test_an_export_made_anew_after_an_inspection_keeps_it_in_both_reports(inspected_run, tmp_path):
    shutil.copytree(inspected_run.place.folder, tmp_path / "copy")
    place = Place(tmp_path / "copy", inspected_run.place.recipe)
    before, exported = place.report, place.run / "export" / "report.json"
    shutil.rmtree(place.run / "export")
    command = distill_command("export", place.run)
    done = subprocess.run(
        command,
        cwd=place.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert before["inspection"] is not None and place.report["inspection"] == before["inspection"]
    assert (
        "reason" not in place.report
        and json.loads(exported.read_text())["inspection"] == before["inspection"]
    )


def test_an_inspection_without_its_language_is_refused_before_anything_runs(
    finished, fresh, tmp_path
):
    sentences = _parallel(tmp_path / "sentences")
    (sentences / "sv.jsonl").unlink()
    command = distill_command(
        "recipe", finished.recipe, "--set", f"inspection.sentences={sentences}"
    )
    done = subprocess.run(
        command,
        cwd=fresh.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (
        done.returncode == 2
        and "inspection.kept" in done.stderr
        and "its languages: da, no" in " ".join(done.stderr.split())
    )
    assert not (fresh.run / "corpus").exists()


@pytest.mark.parametrize("option", ["--until", "--force"])
def test_a_stage_that_the_recipe_does_not_ask_for_cannot_be_named(finished, option):
    command = distill_command("recipe", finished.recipe, option, "inspection")
    done = subprocess.run(
        command,
        cwd=finished.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (
        done.returncode == 2
        and f"{option} inspection" in done.stderr
        and "no section inspection" in " ".join(done.stderr.split())
    )
