from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.evaluation.finished import MEASURED, read_entries
from distill.evaluation.keeping import SCRATCH, key_of, take_over

ENTRIES = [
    {"model": "teacher", "task": "faq", "values": {"mrr@10": [0.1 + 0.2]}},
    {"model": "student", "task": "faq", "values": {"mrr@10": [0.2]}},
    {"model": "student", "task": "xnli from en", "seed": 0, "dev": 0.3},
]
KEYS = {
    key_of("teacher", "faq"): "a",
    key_of("student", "faq"): "b",
    key_of("student", "xnli"): "c",
}


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """An evaluation that is finished, with a model trained from scratch."""
    folder = tmp_path / "previous"
    folder.mkdir()
    take_over(None, folder, KEYS | {SCRATCH: "s"})
    lines = "".join(json.dumps(entry) + "\n" for entry in ENTRIES)
    (folder / MEASURED).write_text(lines)
    (folder / SCRATCH).mkdir()
    (folder / SCRATCH / "model").write_text("weights")
    return folder


def taken_over(previous: Path | None, keys: dict[str, str], tmp_path: Path) -> list[object]:
    output = tmp_path / "output"
    output.mkdir(exist_ok=True)
    take_over(previous, output, keys)
    return list(read_entries(output / MEASURED))


def test_what_depends_on_the_same_is_taken_over_to_the_last_bit(
    previous: Path, tmp_path: Path
) -> None:
    assert taken_over(previous, KEYS, tmp_path) == ENTRIES


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        (key_of("teacher", "faq"), ENTRIES[1:]),
        (key_of("student", "xnli"), ENTRIES[:2]),
    ],
)
def test_what_depends_on_something_else_is_left_out(
    previous: Path, tmp_path: Path, changed: str, kept: list[object]
) -> None:
    assert taken_over(previous, {**KEYS, changed: "other"}, tmp_path) == kept


def test_scratch_is_taken_over_where_it_would_be_trained_alike(
    previous: Path, tmp_path: Path
) -> None:
    taken_over(previous, KEYS | {SCRATCH: "other"}, tmp_path)
    assert not (tmp_path / "output" / SCRATCH).exists()
    (tmp_path / "output" / "keys.json").unlink()
    taken_over(previous, KEYS | {SCRATCH: "s"}, tmp_path)
    assert (tmp_path / "output" / SCRATCH / "model").read_text() == "weights"


def test_nothing_is_taken_over_without_an_earlier_evaluation(tmp_path: Path) -> None:
    assert taken_over(None, KEYS, tmp_path) == []
    (tmp_path / "output" / "keys.json").unlink()
    assert taken_over(tmp_path / "none", KEYS, tmp_path) == []


def test_an_evaluation_that_has_begun_keeps_what_it_measured(
    previous: Path, tmp_path: Path
) -> None:
    taken_over(previous, KEYS, tmp_path)
    (tmp_path / "output" / MEASURED).write_text(json.dumps(ENTRIES[0]) + "\n")
    assert taken_over(previous, KEYS, tmp_path) == ENTRIES[:1]
