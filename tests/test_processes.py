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

import pytest

from tests.conftest import distill_command, distill_environment

RECIPE = {"distillation.validations": 2, "distillation.tokens": 4000, "distillation.checkpoint_seconds": 0.05}


def launch(processes: int, recipe: Path, folder: Path) -> subprocess.Popen[str]:
    """The recipe until its distillation, on so many processes."""
    folder.mkdir(exist_ok=True)
    arguments = distill_command("recipe", recipe, "--until", "distillation")[1:]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
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
    return json.loads((stage / "stage.json").read_text())["result"], [step["loss"] for step in history["losses"]]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"distillation.micro_batch_tokens": 100},
        {"distillation.objectives": {"hidden": 1.0, "relations": 1.0}, "distillation.block_tokens": 24},
    ],
    ids=["chunks", "chunks in micro-batches", "packed blocks"],
)
def test_two_processes_have_the_losses_of_one(write_recipe: Callable[..., Path], tmp_path: Path, changes: Any) -> None:
    recipe = write_recipe(**{**RECIPE, **changes})
    one, losses = finish(launch(1, recipe, tmp_path / "one"), tmp_path / "one")
    two, shared = finish(launch(2, recipe, tmp_path / "two"), tmp_path / "two")
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["steps"] == two["steps"]
    assert shared == pytest.approx(losses, rel=1e-5, abs=1e-5)


def test_a_checkpoint_of_two_processes_is_resumed_by_one(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe(**{**RECIPE, "distillation.tokens": 30_000})
    whole, losses = finish(launch(1, recipe, tmp_path / "whole"), tmp_path / "whole")
    started = launch(2, recipe, tmp_path / "killed")
    state = tmp_path / "killed" / "runs" / "tiny" / ".distillation.partial" / "checkpoint" / "state.json"
    wanted = random.Random(0).randint(3, whole["steps"] // 2)
    while started.poll() is None and _step(state) < wanted:
        time.sleep(0.01)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=60)
    assert _step(state) >= wanted
    resumed, continued = finish(launch(1, recipe, tmp_path / "killed"), tmp_path / "killed")
    assert resumed["resumed_from"] >= wanted
    assert continued == pytest.approx(losses, rel=1e-5, abs=1e-5)


def _step(state: Path) -> int:
    try:
        return int(json.loads(state.read_text())["loop"]["step"])
    except (OSError, ValueError):
        return -1
