"""A disk that is full at any point is told in one sentence; with room again, the run goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import forking
from tests.conftest import distill_environment
from tests.trust.mini import Mini

BLOCK = 4096


def blocks(folder: Path) -> int:
    """kB that a disk gives for a folder's files."""
    sizes = [path.stat().st_size if path.is_file() else 1 for path in folder.rglob("*")]
    return sum(-(-size // BLOCK) for size in sizes) * BLOCK // 1024


@pytest.mark.parametrize(
    "share",
    [0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.38, 0.45, 0.52, 0.6, 0.67, 0.74, 0.81, 0.88, 0.95],
    ids=lambda share: f"room for {share:.0%} of a run",
)
def test_a_disk_that_is_full_at_some_point_is_told_and_the_run_goes_on_with_room(
    finished: Mini, tmp_path: Path, share: float
) -> None:
    given, disk = tmp_path / "disk.given", tmp_path / "disk"
    disk.mkdir()
    shutil.copytree(finished.folder / "mlruns", given / "mlruns")
    room = blocks(given) + 8 + round(share * blocks(finished.folder))
    program = ("-m", "tests.trust.full_disk")
    done = subprocess.run(
        forking.command(
            disk,
            room,
            "recipe",
            finished.recipe,
            environment=distill_environment(),
            program=program,
        ),
        cwd=tmp_path,
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip("a file system cannot be mounted here")
    assert done.returncode == 0, done.stderr
    full, after = json.loads(done.stdout)
    assert "Traceback" not in full["stderr"]
    if full["code"] != 0:  # or what did not fit was MLflow's alone, which decides over no run
        assert full["code"] == 2 and "o space left" in full["stderr"].splitlines()[-1], full
    assert after["code"] == 0 and "Traceback" not in after["stderr"], after
    result = Mini(tmp_path / "disk.after", finished.recipe).result()
    assert result == finished.result()
