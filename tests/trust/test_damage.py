"""After damage to whatever a run left, the next run ends in the result of an undamaged one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trust.mini import Mini
from tests.trust.test_kills import is_as_if_nothing_had_happened, killed


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Another bit in the middle; the size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    """A folder of that name."""
    path.unlink()
    path.mkdir()


def fill(path: Path) -> None:
    """Bytes that are no text."""
    path.write_bytes(b"\xff\xfe\x00" * 50)


Damage = Callable[[Path], None]
ALL: tuple[Damage, ...] = (cut, empty, remove, replace)

FINISHED: dict[str, tuple[Damage, ...]] = {
    "corpus/train.jsonl": (cut, empty),
    "corpus/heldout.jsonl": (remove,),
    "corpus/stage.json": (cut, replace),
    "vocabulary/model/model.safetensors": (cut, replace),
    "vocabulary/model/tokenizer.json": (empty,),
    "vocabulary/curve.json": (remove,),
    "vocabulary/stage.json": (empty,),
    "student/model/config.json": (cut,),
    "student/stage.json": (fill,),
    "distillation/model/model.safetensors": (remove, cut),
    "distillation/history.json": (empty,),
    "evaluation/scores.json": (cut,),
    "evaluation/measured.jsonl": (cut, replace),
    "evaluation/keys.json": (remove,),
    "evaluation/stage.json": (cut,),
    "benchmark/measurements.json": (empty,),
    "export/model.safetensors": ALL,
    "export/README.md": (remove,),
    "export/stage.json": (fill,),
    "report.json": ALL,
    "report.html": ALL,
    "recipe.yaml": (cut, remove),
    "scores.csv": (remove, empty),
    "plots/vocabulary.png": (remove, cut),
    ".done.json": (cut, empty, fill, replace),
    ".lock": (fill, remove),
    "../.hashes.json": (cut, fill, replace),
}
"""Of a finished run."""
FLIPPED = (
    "evaluation/measured.jsonl",
    "corpus/train.jsonl",
    "vocabulary/model/model.safetensors",
    "student/model/model.safetensors",
    "distillation/model/model.safetensors",
    "evaluation/scores.json",
    "export/model.safetensors",
)
"""A flipped bit leaves the size: `--verify` reads the files."""
HALF = ".distillation.partial"
UNDER_WAY: dict[str, tuple[Damage, ...]] = {
    f"{HALF}/checkpoint/student.safetensors": (cut, flip, remove),
    f"{HALF}/checkpoint/optimizer.safetensors": (flip, remove),
    f"{HALF}/checkpoint/state.json": (cut, flip, empty, fill, replace),
    f"{HALF}/best/student.safetensors": (cut, flip, remove, replace),
    f"{HALF}/train/ids.raw": (cut, flip, empty, remove),
    f"{HALF}/train/offsets.npy": (cut, flip, fill),
    f"{HALF}/heldout/ids.raw": (flip,),
    f"{HALF}/fingerprint": (cut, fill, remove, replace),
    "vocabulary/model/model.safetensors": (flip,),
    "corpus/train.jsonl": (flip,),
    "corpus/heldout.jsonl": (flip,),
    "student/model/model.safetensors": (flip,),
    "student/stage.json": (remove, flip),
}
"""Of a run that was killed in its distillation."""
EVALUATED: dict[str, tuple[Damage, ...]] = {
    ".evaluation.partial/measured.jsonl": (cut, flip, empty, fill, replace),
    ".evaluation.partial/fingerprint": (fill,),
    "distillation/model/model.safetensors": (flip,),
}
"""Of a run that was killed in its evaluation."""
WORDS = {replace: "replaced by a folder", fill: "overwritten", remove: "removed", empty: "emptied"}


def cases(damages: dict[str, tuple[Damage, ...]]) -> list[object]:
    """A case for every file and damage."""
    return [
        pytest.param(
            place,
            damage,
            id=f"{place} {WORDS.get(damage, damage.__name__)}",
        )
        for place, each in damages.items()
        for damage in each
    ]


@pytest.mark.parametrize(("place", "damage"), cases(FINISHED))
def test_a_finished_run_whose_file_is_damaged_is_made_whole(
    finished: Mini, tmp_path: Path, place: str, damage: Damage
) -> None:
    copy = finished.copy(tmp_path / "copy")
    damage(copy.run_folder / place)
    is_as_if_nothing_had_happened(copy, finished)


@pytest.mark.parametrize("place", FLIPPED)
def test_a_flipped_bit_of_a_finished_run_is_found_with_verify(
    finished: Mini, tmp_path: Path, place: str
) -> None:
    copy = finished.copy(tmp_path / "copy")
    flip(copy.run_folder / place)
    done = copy.distill("--verify")
    assert done.returncode == 0 and f"{place} is not as it was written" in done.stderr
    is_as_if_nothing_had_happened(copy, finished)


@pytest.fixture(scope="session")
def distilling(finished: Mini, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """A run that was killed late in its distillation, with two checkpoints and the best weights."""
    place = Mini(tmp_path_factory.mktemp("distilling") / "here", finished.recipe)
    shutil.copytree(finished.folder / "mlruns", place.folder / "mlruns")
    killed(place, {"site": "rename runs/mini/.distillation.partial/checkpoint.old", "nth": 9})
    return place


@pytest.mark.parametrize(("place", "damage"), cases(UNDER_WAY))
def test_a_distillation_under_way_whose_file_is_damaged_ends_in_the_same_weights(
    distilling: Mini, finished: Mini, tmp_path: Path, place: str, damage: Damage
) -> None:
    copy = distilling.copy(tmp_path / "copy")
    damage(copy.run_folder / place)
    is_as_if_nothing_had_happened(copy, finished)


def test_a_distillation_with_both_checkpoints_damaged_begins_anew(
    distilling: Mini, finished: Mini, tmp_path: Path
) -> None:
    copy = distilling.copy(tmp_path / "copy")
    for checkpoint in copy.run_folder.glob(f"{HALF}/checkpoint*"):
        for path in checkpoint.iterdir():
            flip(path)
    assert "going on from the beginning" in copy.go_on().stderr
    is_as_if_nothing_had_happened(copy, finished)


@pytest.fixture(scope="session")
def evaluating(finished: Mini, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """A run that was killed when its evaluation was measured."""
    place = Mini(tmp_path_factory.mktemp("evaluating") / "here", finished.recipe)
    shutil.copytree(finished.folder / "mlruns", place.folder / "mlruns")
    killed(place, {"site": "write runs/mini/.evaluation.partial/stage.json"})
    return place


@pytest.mark.parametrize(("place", "damage"), cases(EVALUATED))
def test_an_evaluation_under_way_whose_file_is_damaged_ends_in_the_same_scores(
    evaluating: Mini, finished: Mini, tmp_path: Path, place: str, damage: Damage
) -> None:
    copy = evaluating.copy(tmp_path / "copy")
    damage(copy.run_folder / place)
    is_as_if_nothing_had_happened(copy, finished)
