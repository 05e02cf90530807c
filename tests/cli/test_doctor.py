"""`distill doctor`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Distill = Callable[..., subprocess.CompletedProcess[str]]


def test_the_doctor_tells_what_is_here_and_what_is_used(distill: Distill) -> None:
    done = distill("doctor", MLFLOW_TRACKING_URI="https://me:secret@tracking.example")
    assert done.returncode == 0, done.stderr
    for what in ("processor", "GPU", "bfloat16", "disk", "Hub login", "MLflow", "versions"):
        assert any(line.startswith(what) for line in done.stdout.splitlines()), what
    assert "CPU threads: 1" in done.stdout
    assert "HF_HUB_OFFLINE" in done.stdout
    assert "tracking.example" in done.stdout and "secret" not in done.stdout


def test_a_hub_that_does_not_answer_is_told(distill: Distill) -> None:
    done = distill("doctor", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert done.returncode == 0, done.stderr
    assert "not reached: models, text and tasks from folders and packages" in done.stdout
