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

ACCELERATE = ROOT / "recipes" / "accelerate"
RECIPE = {
    "distillation.validations": 2,
    "distillation.tokens": 4000,
    "distillation.checkpoint_seconds": 0.05,
}


def launch(processes: int, recipe: Path, folder: Path) -> subprocess.Popen[str]:
    """The recipe until its distillation, on so many processes."""
    folder.mkdir(exist_ok=True)
    arguments = distill_command("recipe", recipe, "--until", "distillation", cold=True)[1:]
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
    ]
    return subprocess.Popen(
        [*launcher, *arguments] if processes > 1 else [sys.executable, *arguments],
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


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"distillation.micro_batch_tokens": 100},
        {
            "distillation.objectives": {"hidden": 1.0, "relations": 1.0},
            "distillation.chunk_words": None,
            "distillation.block_tokens": 24,
        },
    ],
    ids=["chunks", "chunks in micro-batches", "packed blocks"],
)
def test_two_processes_have_the_losses_of_one(
    write_recipe: Callable[..., Path], tmp_path: Path, changes: Any
) -> None:
    recipe = write_recipe(**{**RECIPE, **changes})
    one, losses = finish(launch(1, recipe, tmp_path / "one"), tmp_path / "one")
    two, shared = finish(launch(2, recipe, tmp_path / "two"), tmp_path / "two")
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["steps"] == two["steps"]
    assert shared == pytest.approx(losses, rel=1e-5, abs=1e-5)


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("number", "before", "after"),
    [
        pytest.param(signal.SIGTERM, 2, 1, id="two stopped, one goes on"),
        pytest.param(signal.SIGKILL, 1, 2, id="one killed, two go on"),
        pytest.param(signal.SIGKILL, 2, 2, id="two killed, two go on", marks=pytest.mark.slow),
    ],
)
def test_a_distillation_cut_off_twice_has_the_losses_of_one_that_was_not(
    uninterrupted: dict[str, Any],
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
    before: int,
    after: int,
) -> None:
    recipe, folder = write_recipe(**{**RECIPE, "distillation.tokens": 30_000}), tmp_path / "cut"
    if not uninterrupted:
        result, losses = finish(launch(1, recipe, tmp_path / "whole"), tmp_path / "whole")
        uninterrupted |= {"losses": losses, "steps": result["steps"]}
    steps = uninterrupted["steps"]
    state = folder / "runs" / "tiny" / ".distillation.partial" / "checkpoint" / "state.json"
    reached = 0
    for processes in (before, after):
        cut = launch(processes, recipe, folder)
        wanted = reached + random.randint(3, steps // 3)
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
    result, losses = finish(launch(after, recipe, folder), folder)
    assert result["resumed_from"] >= reached
    assert losses == pytest.approx(uninterrupted["losses"], rel=1e-5, abs=1e-5), (
        f"cut off at {reached}"
    )


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
