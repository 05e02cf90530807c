"""The same recipe gives the same weights: again, elsewhere, and stopped half-way."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.trust.mini import Mini
from tests.trust.test_kills import fresh

__all__ = ["fresh"]


def test_the_same_recipe_gives_the_same_weights_again(fresh: Mini, finished: Mini) -> None:
    fresh.go_on()
    assert fresh.result() == finished.result()


def test_a_stage_that_is_forced_gives_the_same_weights(finished: Mini, tmp_path: Path) -> None:
    copy = finished.copy(tmp_path / "copy")
    assert copy.distill("--force", "corpus").returncode == 0
    assert copy.result() == finished.result()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("place", [".vocabulary.partial", ".distillation.partial/best", "export"])
def test_a_run_that_was_stopped_gives_the_same_weights(
    fresh: Mini, finished: Mini, number: signal.Signals, place: str
) -> None:
    process = fresh.start()
    while not (fresh.run_folder / place).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode in (0, 1, 130, -number), told
    assert "Traceback" not in told
    fresh.go_on()
    assert fresh.result() == finished.result()


def test_another_seed_gives_other_weights(fresh: Mini, finished: Mini) -> None:
    assert fresh.distill("--set", "seed=1").returncode == 0
    assert fresh.weights()["distillation/model"] != finished.weights()["distillation/model"]
