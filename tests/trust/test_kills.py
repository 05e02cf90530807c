"""Killed at any moment, a run goes on to the result of one that was not."""

from __future__ import annotations

import random
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.trust.mini import Mini
from tests.trust.moments import Moment

_RUN = "runs/mini/"
_HALF = ".distillation.partial/"
RENAMES = {
    f"{_RUN}corpus": 1,
    f"{_RUN}vocabulary": 1,
    f"{_RUN}student": 1,
    f"{_RUN}{_HALF}train/hashes.json": 1,
    f"{_RUN}{_HALF}heldout/hashes.json": 1,
    f"{_RUN}{_HALF}checkpoint": 4,
    f"{_RUN}{_HALF}checkpoint.old": 5,
    f"{_RUN}{_HALF}best/student.safetensors": 2,
    f"{_RUN}distillation": 1,
    f"{_RUN}.evaluation.partial/measured.jsonl": 1,
    f"{_RUN}.evaluation.partial/keys.json": 1,
    f"{_RUN}evaluation": 1,
    f"{_RUN}benchmark": 1,
    f"{_RUN}export": 1,
    f"{_RUN}report.html": 1,
    f"{_RUN}report.json": 1,
    f"{_RUN}recipe.yaml": 1,
    f"{_RUN}benchmark.csv": 1,
    f"{_RUN}benchmark.md": 1,
    f"{_RUN}scores.csv": 1,
    f"{_RUN}scores.md": 1,
    f"{_RUN}.done.json": 1,
    f"{_RUN}*/run.json": 9,
    "runs/.hashes.json": 1,
    "runs/.costs.json": 1,
}
"""What a run renames in its folder, and at which time of several it is killed there."""
AFTER = ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export")
SHARED = {
    "encoding": f"write {_RUN}{_HALF}train/ids.raw",
    "first checkpoint": f"rename {_RUN}{_HALF}checkpoint",
    "best weights": f"rename {_RUN}{_HALF}best/student.safetensors",
    "model": f"write {_RUN}{_HALF}history.json",
    "into place": f"rename {_RUN}distillation",
}
"""Where two processes are killed."""


def moments() -> list[object]:
    """Every rename, before it and after those of stages; and some moments drawn at random."""
    before = [
        pytest.param(
            {"site": f"rename {place}", "nth": nth},
            id=f"before the rename of {place.removeprefix(_RUN)}",
        )
        for place, nth in RENAMES.items()
    ]
    after = [
        pytest.param(
            {"site": f"rename {_RUN}{stage}", "after": True}, id=f"after the rename of {stage}"
        )
        for stage in AFTER
    ]
    drawn = sorted(random.Random(0).sample(range(2, 400), 12))
    by_event = [pytest.param({"event": n}, id=f"at the {n}th change of a file") for n in drawn]
    return [*before, *after, *by_event]


def killed(place: Mini, moment: Moment) -> None:
    done = place.distill(moment=moment)
    assert done.returncode == -signal.SIGKILL, done.stderr


def is_as_if_nothing_had_happened(place: Mini, finished: Mini) -> None:
    """The next run ends in the undamaged result, and the one after it finds nothing to do."""
    place.go_on()
    result, expected = place.result(), finished.result()
    for key in expected:
        assert result[key] == expected[key]
    assert set(place.tracked()) == {"FINISHED"}
    assert "nothing to do" in place.go_on().stderr


@pytest.fixture
def fresh(finished: Mini, tmp_path: Path) -> Mini:
    """A folder where nothing was run, with MLflow's store: a fresh one takes seconds."""
    shutil.copytree(finished.folder / "mlruns", tmp_path / "fresh" / "mlruns")
    return Mini(tmp_path / "fresh", finished.recipe)


@pytest.mark.parametrize("moment", moments())
def test_a_run_that_was_killed_goes_on_to_the_result_of_one_that_was_not(
    fresh: Mini, finished: Mini, moment: Moment
) -> None:
    killed(fresh, moment)
    is_as_if_nothing_had_happened(fresh, finished)


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 2.1, 3.4])
def test_a_run_that_was_killed_by_the_clock_while_mlflow_makes_its_store_goes_on(
    finished: Mini, tmp_path: Path, seconds: float
) -> None:
    place = Mini(tmp_path / "here", finished.recipe)
    place.distill(moment={"seconds": seconds})
    is_as_if_nothing_had_happened(place, finished)


def test_a_run_that_was_killed_again_and_again_goes_on(fresh: Mini, finished: Mini) -> None:
    for event in (90, 60, 110, 50):
        killed(fresh, {"event": event})
    is_as_if_nothing_had_happened(fresh, finished)


def test_every_rename_of_a_run_is_among_the_moments(finished: Mini, tmp_path: Path) -> None:
    place, record = Mini(tmp_path / "here", finished.recipe), tmp_path / "record"
    assert place.distill(moment={"record": str(record)}).returncode == 0
    events = set(record.read_text().splitlines())
    renames = {event for event in events if event.startswith("rename runs/")}
    assert renames == {f"rename {place}" for place in RENAMES}


def together(place: Mini, moment: Moment | None = None) -> list[int]:
    """The exit codes of the recipe on two processes; with `moment` the first is killed there, and
    its launcher would stop the second.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    place.folder.mkdir(exist_ok=True)
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        place.start(
            "--until",
            "distillation",
            moment=moment if rank == 0 else None,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            **launch,
        )
        for rank in range(2)
    ]
    codes = [processes[0].wait(timeout=300)]
    if codes[0]:
        processes[1].terminate()
    codes.append(processes[1].wait(timeout=300))
    return codes


@pytest.fixture(scope="module")
def together_finished(finished: Mini, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """The recipe up to its distillation, on two processes."""
    place = Mini(tmp_path_factory.mktemp("two") / "here", finished.recipe)
    shutil.copytree(finished.folder / "mlruns", place.folder / "mlruns")
    assert together(place) == [0, 0]
    return place


@pytest.mark.parametrize("site", SHARED.values(), ids=[f"at its {place}" for place in SHARED])
@pytest.mark.parametrize("count", [1, 2], ids=["once", "twice"])
def test_two_processes_that_were_killed_go_on_to_the_weights_of_two_that_were_not(
    together_finished: Mini, fresh: Mini, site: str, count: int
) -> None:
    for _ in range(count):
        assert together(fresh, {"site": site})[0] == -signal.SIGKILL
    assert together(fresh) == [0, 0]
    model = "distillation/model/model.safetensors"
    weights = [(place.run_folder / model).read_bytes() for place in (fresh, together_finished)]
    assert weights[0] == weights[1]
