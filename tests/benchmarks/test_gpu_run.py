"""The GPU run (benchmarks/gpu), rehearsed on the CPU with a tiny teacher."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.run import STEPS
from benchmarks.gpu.steps.distillation import STUDENTS
from tests.conftest import ROOT, distill_environment, needs_quickstart

REHEARSED = ("sanity", "latency", "distillation/tiny")
pytestmark = [pytest.mark.slow, needs_quickstart]


def gpu(*arguments: object) -> str:
    """Run a command of the GPU run; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *map(str, arguments)],
        cwd=ROOT,
        env={key: value for key, value in distill_environment().items() if key != "DISTILL_DATA"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rehearsed(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, what a rehearsal wrote, and what was collected from it."""
    folder = tmp_path_factory.mktemp("gpu")
    options = ("--teacher", tiny_teacher, "--documents", 12, "--no-wheels")
    gpu("prepare", folder / "bundle", *options)
    gpu("run", folder / "bundle", folder / "back", "--smoke", "--steps", *REHEARSED)
    places = ("--results", folder / "results", "--student", folder / "student")
    printed = gpu("collect", folder / "bundle", folder / "back", *places)
    (folder / "printed").write_text(printed)
    return folder


def rows(folder: Path, step: str) -> list[dict]:
    return json.loads((folder / "results" / f"gpu-{step}.json").read_text())["rows"]


def test_every_step_of_the_rehearsal_ends_in_time(rehearsed):
    for step in ("sanity", "latency", "distillation"):
        endings = [row["ending"] for row in rows(rehearsed, step) if row["what"] == "step"]
        assert set(endings) == {"ended"}


def test_every_other_step_can_be_rehearsed_too(rehearsed, tmp_path):
    others = [step for step in STEPS if step not in REHEARSED]
    gpu("run", rehearsed / "bundle", tmp_path, "--smoke", "--steps", *others)


def test_the_rehearsal_computes_what_was_prepared(rehearsed):
    measured = rows(rehearsed, "sanity")
    (ids,) = [row for row in measured if row["what"] == "ids"]
    assert ids["equal"]
    exact = [row for row in measured if row.get("precision") == "float32"]
    assert max(exact[0]["relative_error"]) < 1e-5
    assert exact[1]["largest_relative_difference"] < 1e-4


def test_the_students_weights_come_back(rehearsed):
    from transformers import AutoModel

    bundle = Bundle(rehearsed / "bundle")
    planned = STUDENTS["tiny"].recipe.student(bundle, bundle.teacher())
    initial = dict(planned.named_parameters())
    student = AutoModel.from_pretrained(rehearsed / "student" / "tiny")
    moved = [
        name
        for name, weight in student.named_parameters()
        if not torch.equal(weight, initial[name])
    ]
    assert moved and all(torch.isfinite(weight).all() for weight in student.state_dict().values())


def test_the_figures_are_shown_as_tables(rehearsed):
    printed = (rehearsed / "printed").read_text()
    assert "| model | precision | batch_size |" in printed and "| student |" in printed


def test_a_damaged_bundle_is_refused(rehearsed, tmp_path):
    shutil.copytree(rehearsed / "bundle", tmp_path / "bundle")
    path = tmp_path / "bundle" / "tasks.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(ValueError, match=r"tasks\.json is missing or not as it was prepared"):
        Bundle(tmp_path / "bundle").check()
