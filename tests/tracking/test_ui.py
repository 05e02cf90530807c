"""`python -m distill ui` as a person meets it: what it says, what it serves to a headless Chromium,
and how it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
import pytest
import requests

from tests.conftest import distill_command, distill_environment
from tests.tracking.browser import CHROMIUM, PATIENCE, browser

CARDS = "[...document.querySelectorAll('[data-testid=experiment-view-compare-runs-card]')]"
CURVE = f"""{CARDS}.some((card) =>
  card.innerText.includes("distillation (loss/hidden)")
  && card.querySelector(".js-line")?.getAttribute("d").includes("L"))"""
"""Whether a line through two points or more is drawn of a loss."""


def test_without_a_store_it_says_what_makes_one(distill) -> None:
    done = distill("ui")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no MLflow store at mlruns/mlflow.db; run a recipe first" in done.stderr


def test_a_server_is_left_to_its_own_ui_without_showing_the_password(distill) -> None:
    done = distill("ui", MLFLOW_TRACKING_URI="https://me:secret@mlflow.example")
    assert done.returncode == 2
    assert "open https://mlflow.example in a browser" in done.stderr


def test_a_port_that_is_taken_is_named(distill, store: mlflow.MlflowClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = distill("ui", "--port", port)
    assert done.returncode == 2
    assert f"answers at http://127.0.0.1:{port}; name another port with --port" in done.stderr


def test_what_stops_it_stops_the_server_and_leaves_no_process(
    store: mlflow.MlflowClient, tmp_path: Path
) -> None:
    with _ui(tmp_path) as (address, process):
        assert requests.get(address, timeout=PATIENCE).ok
        process.terminate()
        assert process.wait(PATIENCE) == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=PATIENCE)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to look at the UI with")
def test_a_person_finds_the_run_its_loss_curve_and_its_report(
    distill, write_recipe, tmp_path: Path
) -> None:
    done = distill("recipe", write_recipe(**{"distillation.tokens": 8000}))
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(_uri(tmp_path))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    # By their stage: the name of the whole run tells teacher, size and date.
    runs = {
        run.data.tags["stage"]: run.info.run_id
        for run in client.search_runs([experiment.experiment_id])
    }
    state = "viewStateShareKey=distill&workflowType=machine_learning"
    view = f"/#/experiments/{experiment.experiment_id}/runs?{state}"

    async def look(address: str) -> None:
        async with browser(
            tmp_path / "profile", height=2400
        ) as page:  # tall: a chart is drawn once it is in sight
            await page.go(address + view)
            seen = await page.wait_for(r"\b1 matching run\b")
            assert {"best first", "Sort: retention", "tiny", "student"} <= set(seen.splitlines())
            await page.picture(tmp_path / "experiment.png")
            await page.click(f"a[href*='{runs['recipe']}']")
            await page.wait_for("segmented as before")
            await page.picture(tmp_path / "run.png")
            await page.click(f"a[href*='{runs['distillation']}']")
            await page.wait_for("Parent run")
            await page.click("[role=tab]", "Model metrics")
            await page.wait_until(CURVE)
            await page.picture(tmp_path / "losses.png")
            await page.click("[role=tab]", "Overview")
            await page.click(f"a[href*='{runs['recipe']}']")
            await page.wait_for("Child runs")
            await page.click("[role=tab]", "Artifacts")
            await page.click("*", "report.html")
            await page.wait_for("A student for sv")
            await page.picture(tmp_path / "report.png")

    with _ui(tmp_path) as (address, _):
        asyncio.run(look(address))


@pytest.fixture
def store(tmp_path: Path) -> mlflow.MlflowClient:
    """The project's store in the test's folder, with no runs."""
    (tmp_path / "mlruns").mkdir()
    client = mlflow.MlflowClient(_uri(tmp_path))
    client.create_experiment("tiny")
    return client


def _uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"


@contextmanager
def _ui(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The UI of a folder's store while it answers: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = distill_command("ui", "--port", port, cold=True)
    with subprocess.Popen(
        command, cwd=folder, env=distill_environment(), start_new_session=True
    ) as process:
        try:
            _wait_until_it_answers(address, process)
            yield address, process
        finally:
            with suppress(ProcessLookupError):  # MLflow's own are of its group
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, "the UI ended"
        try:
            if requests.get(f"{address}/health", timeout=PATIENCE).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.25)
    raise TimeoutError(f"no answer at {address}")
