"""One recipe on several processes, as `accelerate launch` and `torchrun` start them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT, distill_command, distill_environment
from tests.launching import launcher, run_together
from tests.runtime.shared_distillation import SETTINGS, distil_each

ACCELERATE = ROOT / "recipes" / "accelerate"
RECIPE = {
    "distillation.validations": 2,
    "distillation.tokens": 4000,
    "distillation.checkpoint_seconds": 0.05,
}


def launch(processes: int, recipe: Path, folder: Path) -> subprocess.Popen[str]:
    """The recipe until its distillation, on so many processes."""
    folder.mkdir(exist_ok=True)
    arguments = distill_command("recipe", recipe, "--until", "distillation", cold=True)
    return subprocess.Popen(
        [*launcher(processes), *arguments[1:]] if processes > 1 else arguments,
        cwd=folder,
        env=distill_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], folder: Path) -> tuple[dict[str, Any], list[float]]:
    """The distillation's result, and its losses."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    stage = folder / "runs" / "tiny" / "distillation"
    history = json.loads((stage / "history.json").read_text())
    return json.loads((stage / "stage.json").read_text())["result"], [
        step["loss"] for step in history["losses"]
    ]


@pytest.fixture(scope="module")
def distilled(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same distillations on one process and on two."""
    folder = tmp_path_factory.mktemp("distilled")
    distil_each(tiny_teacher, folder / "one")
    run_together(2, "tests.runtime.shared_distillation", tiny_teacher, folder / "two")
    return folder


@pytest.mark.parametrize("setting", SETTINGS)
def test_two_processes_have_the_losses_of_one(distilled: Path, setting: str) -> None:
    losses = {}
    for processes in ("one", "two"):
        folder = distilled / processes / setting
        history = json.loads((folder / "history.json").read_text())
        losses[processes] = [step["loss"] for step in history["losses"]]
        assert (folder / "processes").read_text() == {"one": "1", "two": "2"}[processes]
    assert losses["two"] == pytest.approx(losses["one"], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param(
            [(signal.SIGTERM, 2), (signal.SIGKILL, 1)],
            id="two stopped, one killed, two go on",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [(signal.SIGKILL, 2), (signal.SIGKILL, 2)],
            id="two killed twice, two go on",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_distillation_cut_off_twice_has_the_losses_of_one_that_was_not(
    write_recipe: Callable[..., Path], tmp_path: Path, cuts: list[tuple[signal.Signals, int]]
) -> None:
    recipe, folder = write_recipe(**{**RECIPE, "distillation.tokens": 30_000}), tmp_path / "cut"
    whole = tmp_path / "whole"
    uninterrupted, expected = finish(launch(1, recipe, whole), whole)
    state = folder / "runs" / "tiny" / ".distillation.partial" / "checkpoint" / "state.json"
    reached = 0
    for number, processes in cuts:
        cut = launch(processes, recipe, folder)
        wanted = reached + random.randint(3, uninterrupted["steps"] // 3)
        while cut.poll() is None and _step(state) < wanted:
            time.sleep(0.01)
        assert cut.poll() is None, f"it ended before step {wanted}: {cut.communicate()[1]}"
        if number == signal.SIGKILL:
            time.sleep(random.random() / 10)
            for process in (
                *psutil.Process(cut.pid).children(recursive=True),
                cut,
            ):  # as when the machine goes down
                process.kill()
        else:
            cut.send_signal(number)
        cut.communicate(timeout=60)
        reached = max(wanted, _step(state))
    result, losses = finish(launch(2, recipe, folder), folder)
    assert result["resumed_from"] >= reached
    assert losses == pytest.approx(expected, rel=1e-5, abs=1e-5), f"cut off at {reached}"


@pytest.mark.parametrize(
    ("name", "machines", "processes"),
    [("one-gpu", 1, 1), ("one-node", 1, 8), ("several-nodes", 2, 16)],
)
def test_accelerate_reads_the_configs_that_ship(name: str, machines: int, processes: int) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(ACCELERATE / f"{name}.yaml"))
    assert (config.num_machines, config.num_processes, config.use_cpu) == (
        machines,
        processes,
        False,
    )
    assert config.distributed_type.value == ("MULTI_GPU" if processes > 1 else "NO")


def test_accelerate_launches_a_recipe_by_a_config_that_ships(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    launcher = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(ACCELERATE / "one-gpu.yaml"),
        "--cpu",
    ]
    arguments = distill_command("recipe", write_recipe(), "--dry-run", cold=True)[1:]
    done = subprocess.run(
        [*launcher, *arguments],
        cwd=tmp_path,
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "student" in done.stdout


def _step(state: Path) -> int:
    try:
        return int(json.loads(state.read_text())["loop"]["step"])
    except (OSError, ValueError):
        return -1
