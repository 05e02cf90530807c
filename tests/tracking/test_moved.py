from __future__ import annotations

from pathlib import Path

import pytest

from distill.runtime.progress import Progress
from distill.tracking import Tracker
from distill.tracking.moved import follow_artifacts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one tracked run that has an artifact."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (folder / "report.html").write_text("ett")
    tracker = Tracker("danish", folder / "runs" / "danish", Progress(quiet=True))
    tracker.start("danish", {}, {})
    tracker.artifact(folder / "report.html")
    tracker.finish("FINISHED")
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
