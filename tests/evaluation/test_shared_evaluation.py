"""One evaluation on several processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distill.evaluation import protocol
from distill.evaluation.cross_lingual import CrossLingualRows
from distill.evaluation.finished import MEASURED, ElsewhereError, Finished, each_here, read_entries
from distill.evaluation.kinds.fine_tuned import CrossLingual
from distill.evaluation.measuring import spread_work
from distill.evaluation.subject import EvaluatedModel
from distill.models import LoadedModel
from distill.recipe import ClassificationTask, TeacherSection
from distill.runtime.interruption import Interruption
from tests.conftest import ROOT
from tests.evaluation.conftest import quick_section, toy_rows
from tests.evaluation.shared_evaluation import MODELS, evaluate_shared
from tests.launching import run_together

TASK = {"kind": "classification", "name": "toy"}
TASK |= {split: {"path": "rows.jsonl"} for split in ("train", "test")}


def process(index: int, count: int = 2) -> Any:
    """One of several processes that wait for nobody."""
    return SimpleNamespace(
        index=index, count=count, is_first=index == 0, wait=lambda: None, share=lambda value: value
    )


@pytest.fixture
def both(tmp_path: Path) -> list[Finished]:
    """What two processes know of one evaluation."""
    path = tmp_path / MEASURED
    return [Finished(path, Interruption(), process(index)) for index in (0, 1)]


def test_two_processes_give_the_scores_of_one_and_share_the_work(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    run_together(2, "tests.evaluation.shared_evaluation", tiny_teacher, tmp_path / "two")
    evaluate_shared(tiny_teacher, tmp_path / "one")
    one, two = (
        json.loads((tmp_path / folder / "scores.json").read_text(encoding="utf-8"))
        for folder in ("one", "two")
    )
    for score, expected in zip(two, one, strict=True):
        # Bounds are sums of products, whose last bit may depend on where an array lies.
        bounds = {key: pytest.approx(expected[key]) for key in ("low", "high", "freedom")}
        assert score == {**expected, **bounds}
    assert {score["model"] for score in two} == set(MODELS)
    shares = [int((tmp_path / "two" / f"process-{index}").read_text()) for index in (0, 1)]
    assert sum(shares) == int((tmp_path / "one" / "process-0").read_text()) and min(shares) > 1
    left = {path.name for path in (tmp_path / "two").iterdir()}
    assert left == {path.name for path in (tmp_path / "one").iterdir()} | {"process-1"}


def test_what_one_process_has_measured_no_other_measures_again(both: list[Finished]) -> None:
    first, second = both
    first.measured("teacher", "faq", lambda: {"mean": 0.5})
    kept = second.measured("teacher", "faq", lambda: pytest.fail("it was measured again"))
    assert kept == {"model": "teacher", "task": "faq", "mean": 0.5}


def test_what_another_process_is_at_is_left_to_it(both: list[Finished]) -> None:
    first, second = both

    def meanwhile() -> dict[str, Any]:
        with pytest.raises(ElsewhereError):
            second.measured("teacher", "faq", lambda: {"mean": 0.0})
        return {"mean": 0.5}

    first.measured("teacher", "faq", meanwhile)
    assert second.refresh() == 1
    assert second.find("teacher", "faq") == {"model": "teacher", "task": "faq", "mean": 0.5}


def test_what_is_measured_elsewhere_keeps_nobody_from_the_rest() -> None:
    done = []

    def elsewhere() -> int:
        raise ElsewhereError

    with pytest.raises(ElsewhereError):
        each_here([lambda: done.append(1), elsewhere, lambda: done.append(3)])
    assert done == [1, 3]


def test_what_learns_from_most_text_is_shared_out_first() -> None:
    short, long = (
        ClassificationTask.model_validate({**TASK, "name": name}) for name in ("short", "long")
    )
    section = quick_section(models=["teacher", "scratch"]).model_copy(
        update={"tasks": [short, long]}
    )
    rows = {"short": toy_rows(train=8), "long": toy_rows(train=80)}
    order = [(name, task.name) for name, [task] in spread_work(section.models, section, rows)]
    assert order == [
        ("scratch", "long"),
        ("teacher", "long"),
        ("scratch", "short"),
        ("teacher", "short"),
    ]


def test_a_process_that_dies_loses_only_what_it_was_at(tmp_path: Path) -> None:
    first = Finished(tmp_path / MEASURED, Interruption(), process(0))
    program = """
import os, signal, sys
from pathlib import Path
from tests.evaluation.test_shared_evaluation import MEASURED, Finished, Interruption, process

finished = Finished(Path(sys.argv[1]) / MEASURED, Interruption(), process(1))
finished.measured("student", "faq", lambda: {"mean": 0.25})
finished.measured("teacher", "faq", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    first.measured("teacher", "faq", lambda: {"mean": 0.5})
    first.finish()
    means = {entry["model"]: entry["mean"] for entry in read_entries(tmp_path / MEASURED)}
    assert means == {"student": 0.25, "teacher": 0.5}


def test_what_a_launch_that_was_cut_off_had_measured_is_taken_up(both: list[Finished]) -> None:
    both[1].measured("teacher", "faq", lambda: {"mean": 0.5})
    path = next(iter(both[0]._path.parent.glob("measured-*.jsonl"))).with_name(MEASURED)
    assert Finished(path, Interruption()).find("teacher", "faq") is not None
    assert [part.name for part in path.parent.iterdir()] == [MEASURED]


def test_int8_makes_the_students_fine_tunes_that_no_process_has_made(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(name: str) -> LoadedModel:
        loaded.append(name)
        return tiny

    def bench(*_: object) -> Any:
        answers = {"predictions": [0] * 32}
        how = {"precision": "float32", "runtime": "torch", "threads": 1, "commit": None, "cut": {}}
        tuned = {"dev": 0.5, **answers, "int8": answers, **how}
        return lambda draw, rate, advance: tuned

    monkeypatch.setattr(protocol, "Bench", bench)
    finished = Finished(tmp_path / MEASURED, Interruption())
    subject = EvaluatedModel(
        "student_int8",
        section=quick_section(models=["student", "student_int8"]),
        teacher=TeacherSection(model="organisation/teacher"),
        seed=0,
        finished=finished,
        load=load,
        device=torch.device("cpu"),
    )
    task = ClassificationTask.model_validate(TASK)
    assert subject.fine_tune(task, toy_rows(), lambda share, detail: None).precision == "int8"
    assert set(loaded) == {"student"} and finished.count(["student"]) == 2


def test_a_language_that_is_learnt_from_elsewhere_keeps_nobody_from_the_others() -> None:
    begun: list[str] = []

    def fine_tune(task: object, rows: object, advance: object, learnt_from: str) -> None:
        begun.append(learnt_from)
        if learnt_from == "sv":
            raise ElsewhereError

    rows = CrossLingualRows(fine_tunes=dict.fromkeys(("sv", "da"), toy_rows()), test=1)
    subject: Any = SimpleNamespace(fine_tune=fine_tune)
    with pytest.raises(ElsewhereError):
        CrossLingual("text-classification").measure(
            subject, ClassificationTask.model_validate(TASK), rows, lambda share, detail: None
        )
    assert begun == ["sv", "da"]
