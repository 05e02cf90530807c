from __future__ import annotations

from pathlib import Path

import pytest

from distill.evaluation.finished import MEASURED, Finished
from distill.runtime.errors import Interrupted
from distill.runtime.interruption import Interruption

ENTRY = {
    "model": "teacher",
    "task": "toy",
    "seed": 0,
    "learning_rate": 1e-4,
    "dev": 0.1 + 0.2,
    "precision": "bfloat16",
}


def test_what_was_added_is_found_again_to_the_last_bit(tmp_path: Path) -> None:
    Finished(tmp_path / "measured.jsonl", Interruption()).add(ENTRY)
    again = Finished(tmp_path / "measured.jsonl", Interruption())
    assert again.find("teacher", "toy", 0, 1e-4) == ENTRY
    assert (
        again.find("teacher", "toy", 1, 1e-4)
        is again.find("student", "toy", 0, 1e-4)
        is again.find("teacher", "toy")
        is None
    )
    assert again.precision() == "bfloat16"


def test_a_line_that_was_cut_off_counts_as_not_measured_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    Finished(path, Interruption()).add(ENTRY)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"model": "teacher", "task": "toy", "seed": 1, "learn')
    resumed = Finished(path, Interruption())
    assert resumed.count(["teacher"]) == 1
    resumed.add(ENTRY | {"seed": 1})
    assert Finished(path, Interruption()).count(["teacher"]) == 2


@pytest.mark.parametrize("damage", [b"0.25", b"\xff\xfe", b"[]", b""])
def test_a_line_that_is_damaged_counts_as_not_measured(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / MEASURED
    finished = Finished(path, Interruption())
    finished.add({"model": "student", "task": "faq", "mean": 0.125})
    finished.add({"model": "teacher", "task": "faq", "mean": 0.5})
    path.write_bytes(path.read_bytes().replace(b"0.125", damage))
    again = Finished(path, Interruption())
    assert again.find("student", "faq") is None
    assert again.find("teacher", "faq") == {"model": "teacher", "task": "faq", "mean": 0.5}


def test_only_what_was_measured_of_the_models_asked_for_is_counted(tmp_path: Path) -> None:
    finished = Finished(tmp_path / "measured.jsonl", Interruption())
    finished.add(ENTRY)
    finished.add(ENTRY | {"model": "student"})
    assert [
        finished.count(models) for models in ([], ["student"], ["student", "teacher"], ["other"])
    ] == [0, 1, 2, 0]


def test_only_what_counts_by_seed_and_learning_rate_is_counted(tmp_path: Path) -> None:
    finished = Finished(tmp_path / "measured.jsonl", Interruption())
    for seed, rate in ((0, 1e-4), (1, 1e-4), (0, 1e-3)):
        finished.add(ENTRY | {"seed": seed, "learning_rate": rate})
    assert finished.count([ENTRY["model"]], lambda seed, rate: rate == 1e-4) == 2


def test_a_signal_that_arrives_while_it_writes_is_answered_when_the_line_is_there(
    tmp_path: Path,
) -> None:
    interruption = Interruption()
    finished = Finished(tmp_path / "measured.jsonl", interruption)
    interruption.requested = True
    with pytest.raises(Interrupted):
        finished.add(ENTRY)
    assert Finished(tmp_path / "measured.jsonl", Interruption()).count(["teacher", "student"]) == 1
