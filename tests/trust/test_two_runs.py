"""Two runs at once: one goes on, the other is told who is there; neither spoils the other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from distill.runtime.lock import LOCK
from tests.trust.mini import Mini
from tests.trust.test_kills import fresh, is_as_if_nothing_had_happened, killed

__all__ = ["fresh"]


def ends(*processes: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Exit code and stderr of each."""
    told = [process.communicate(timeout=300)[1] for process in processes]
    assert not any("Traceback" in text for text in told), told
    return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(
    "place",
    [
        ".corpus.partial",
        ".vocabulary.partial",
        ".distillation.partial/checkpoint",
        ".evaluation.partial",
        "export",
    ],
)
def test_a_second_run_in_the_folder_is_told_and_spoils_nothing(
    fresh: Mini, finished: Mini, place: str
) -> None:
    first = fresh.start()
    wait_for(fresh.run_folder / place, first)
    second = fresh.distill()
    ((code, told),) = ends(first)
    assert code == 0, told
    assert second.returncode == 2, second.stderr
    assert "is in use by process" in second.stderr
    is_as_if_nothing_had_happened(fresh, finished)


def test_two_runs_that_start_together_end_in_one_result(fresh: Mini, finished: Mini) -> None:
    codes = sorted(code for code, _ in ends(fresh.start(), fresh.start()))
    assert codes in ([0, 0], [0, 2])
    is_as_if_nothing_had_happened(fresh, finished)


def test_two_recipes_side_by_side_end_as_each_alone(fresh: Mini, finished: Mini) -> None:
    results = ends(fresh.start(), fresh.start("--set", "name=other"))
    assert [code for code, _ in results] == [0, 0], results
    is_as_if_nothing_had_happened(fresh, finished)
    weights = "distillation/model/model.safetensors"
    other = fresh.folder / "runs" / "other" / weights
    assert other.read_bytes() == (fresh.run_folder / weights).read_bytes()


def test_the_export_of_a_run_under_way_is_refused(fresh: Mini, finished: Mini) -> None:
    first = fresh.start()
    wait_for(fresh.run_folder / ".distillation.partial", first)
    done = fresh.distill_with("export", fresh.run_folder)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    ((code, told),) = ends(first)
    assert code == 0, told
    is_as_if_nothing_had_happened(fresh, finished)


def test_a_run_that_stands_still_holds_its_folder_until_it_is_killed(
    fresh: Mini, finished: Mini
) -> None:
    first = fresh.start()
    wait_for(fresh.run_folder / LOCK, first)
    time.sleep(0.3)
    holder = int((fresh.run_folder / LOCK).read_text().split('"process": ')[1].split(",")[0])
    os.kill(holder, signal.SIGSTOP)
    try:
        second = fresh.distill()
        assert second.returncode == 2 and f"process {holder}" in second.stderr, second.stderr
    finally:
        os.kill(holder, signal.SIGKILL)
    first.communicate(timeout=60)
    is_as_if_nothing_had_happened(fresh, finished)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"process": 1}', '{"process": "x", "machine": 3}', "\x00" * 9]
)
def test_a_lock_that_a_dead_process_left_holds_nobody(
    finished: Mini, tmp_path: Path, content: str
) -> None:
    copy = finished.copy(tmp_path / "copy")
    (copy.run_folder / LOCK).write_text(content)
    shutil.rmtree(copy.run_folder / "export")
    is_as_if_nothing_had_happened(copy, finished)


def test_a_run_killed_while_a_second_waits_leaves_the_folder_to_it(
    fresh: Mini, finished: Mini
) -> None:
    killed(fresh, {"site": "write runs/mini/.benchmark.partial/measurements.json"})
    is_as_if_nothing_had_happened(fresh, finished)
