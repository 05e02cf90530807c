"""`python -m distill ui` as a person sees it: the experiment, a run's losses and its report, in a headless Chromium."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import distill_command, distill_environment
from tests.tracking.browser import CHROMIUM, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to look at the UI with"),
]
ANSWERS_WITHIN = 180.0
"""Seconds that the UI may take to start, on a machine that is busy."""


@pytest.fixture
def address(distill, write_recipe, tmp_path: Path) -> Iterator[str]:
    """Where the UI of a finished run's store answers; the store lies in the test's folder."""
    done = distill("recipe", write_recipe(**{"distillation.tokens": 8000}))
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = distill_command("ui", "--port", port)
    with subprocess.Popen(command, cwd=tmp_path, env=distill_environment(), start_new_session=True) as process:
        try:
            found = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(found, process)
            yield found
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # MLflow's workers are of its group


def test_the_ui_shows_the_run_its_losses_and_its_report(address: str, tmp_path: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    base = f"{address}/#/experiments/{experiment.experiment_id}/runs"

    async def look() -> None:
        async with browser(tmp_path / "profile") as page:
            await page.go(f"{base}?viewStateShareKey=distill&workflowType=machine_learning")
            seen = await page.wait_for(r"[1-9]\d* matching run")
            assert "Sort: retention" in seen
            await page.wait_for(r"\btiny\b[\s\S]*\bretention\b|\bretention\b[\s\S]*\btiny\b")
            await page.picture(tmp_path / "experiment.png")
            await page.go(f"{base}/{runs['distillation']}/model-metrics")
            await page.wait_for(r"distillation \((loss/)?hidden\)", scrolling=True)  # the legend of a curve
            assert await page.count("svg.main-svg, canvas") > 0, "no curve is drawn"
            await page.picture(tmp_path / "losses.png")
            await page.go(f"{base}/{runs['tiny']}/artifacts/report.html")
            await page.wait_for("A student for sv")
            await page.picture(tmp_path / "report.png")

    asyncio.run(look())


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < until:
        assert process.poll() is None, "the UI ended"
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise TimeoutError(f"no answer at {address}")
