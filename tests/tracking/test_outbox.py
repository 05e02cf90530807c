"""What a store lacks: kept in order, within bounds, over the end of a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.tracking.outbox import BATCH, Event, Outbox


def metrics(run: str, *steps: int) -> dict[str, Any]:
    return {"kind": "metrics", "run": run, "metrics": [["loss", 1.0, 0, step] for step in steps]}


def status(run: str) -> dict[str, Any]:
    return {"kind": "status", "run": run, "status": "FINISHED", "time": 1}


def drained(outbox: Outbox) -> list[Event]:
    found: list[Event] = []
    outbox.drain(found.append)
    return found


def test_what_is_kept_comes_out_in_order_and_once_also_in_another_process(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    assert outbox.is_empty
    for event in (status("a"), metrics("b", 1), status("b")):
        assert outbox.keep(event)
    again = Outbox(tmp_path / "box")
    assert not again.is_empty
    assert drained(again) == [status("a"), metrics("b", 1), status("b")]
    assert again.is_empty
    assert drained(again) == []


def test_metrics_of_one_run_that_follow_one_another_go_together(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    for event in (
        metrics("a", 1),
        metrics("a", 2),
        metrics("b", 3),
        metrics("a", 4),
        status("a"),
        metrics("a", 5),
    ):
        outbox.keep(event)
    together = [metrics("a", 1, 2), metrics("b", 3), metrics("a", 4), status("a"), metrics("a", 5)]
    assert drained(outbox) == together


def test_no_more_metrics_go_together_than_the_server_takes(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    for start in range(0, 3 * BATCH, BATCH // 2 + 1):
        outbox.keep(metrics("a", *range(start, start + BATCH // 2 + 1)))
    assert all(len(event["metrics"]) <= BATCH for event in drained(outbox))


def test_what_could_not_be_sent_stays_and_what_was_sent_does_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    for run in "abc":
        outbox.keep(status(run))

    def send(event: Event) -> None:
        if event["run"] == "b":
            raise ConnectionError

    with pytest.raises(ConnectionError):
        outbox.drain(send)
    assert drained(Outbox(tmp_path / "box")) == [status("b"), status("c")]


def test_a_file_is_kept_as_it_was_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text("then")
    outbox = Outbox(tmp_path / "box")
    for _ in range(2):
        outbox.keep({"kind": "artifact", "run": "a", "path": str(path), "folder": None})
    path.write_text("now")
    sent: list[tuple[str, str]] = []
    outbox.drain(
        lambda event: sent.append((Path(event["path"]).name, Path(event["path"]).read_text()))
    )
    assert sent == [("curve.json", "then")] * 2
    assert not list((tmp_path / "box").rglob("curve.json"))


def test_curves_and_files_stop_at_the_limit_and_what_matters_does_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box", limit_bytes=2000)
    path = tmp_path / "plot.png"
    path.write_bytes(bytes(3000))
    assert not outbox.keep({"kind": "artifact", "run": "a", "path": str(path), "folder": None})
    kept = sum(outbox.keep(metrics("a", step)) for step in range(1, 101))
    assert 5 < kept < 40
    for again in (
        outbox,
        Outbox(tmp_path / "box", limit_bytes=2000),
    ):  # the bound outlives the process
        assert not again.keep(metrics("a", 101))
        assert again.keep(metrics("a", 0))
        assert again.keep(status("a"))
    assert drained(outbox)[-1] == status("a")
    assert outbox.keep(metrics("a", 102))  # there is room again


def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    outbox.keep(status("a"))
    with (tmp_path / "box" / "events.jsonl").open("a") as file:
        file.write('{"kind": "sta')
    again = Outbox(tmp_path / "box")
    again.keep(status("b"))
    assert drained(again) == [status("a"), status("b")]
    assert again.is_empty
