from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from distill.tracking.moved import follow_artifacts
from tests.conftest import distill_environment

TRACK = """
from pathlib import Path
from distill.runtime.progress import Progress
from distill.tracking import Tracker

Path("report.html").write_text("ett")
tracker = Tracker("danish", Path("runs/danish"), Progress(quiet=True))
tracker.start("danish", {}, {})
tracker.artifact(Path("report.html"))
tracker.finish("FINISHED")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one tracked run that has an artifact."""
    folder = tmp_path / "project"
    folder.mkdir()
    # A process of its own: MLflow keeps a store that it has opened, whatever the folder is then.
    command = [sys.executable, "-c", TRACK]
    subprocess.run(command, cwd=folder, env=distill_environment(), check=True)
    return folder


def artifacts(folder: Path) -> list[str]:
    """The text of each run's report, as MLflow finds it from that folder."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("danish")
    runs = client.search_runs([experiment.experiment_id])
    paths = [client.download_artifacts(run.info.run_id, "report.html") for run in runs]
    return [Path(path).read_text() for path in paths]


def test_a_project_that_was_moved_has_its_artifacts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert artifacts(project) == ["ett"]
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert follow_artifacts()
    assert artifacts(tmp_path / "moved") == ["ett"]
    assert not follow_artifacts()


def test_a_store_that_is_not_there_is_left_alone(tmp_path: Path) -> None:
    assert not follow_artifacts(tmp_path / "mlruns")
