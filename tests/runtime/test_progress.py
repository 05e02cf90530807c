"""The progress display: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

import distill.runtime.progress
from distill.runtime.progress import LOG_SECONDS, Progress, Task, format_seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (360000, "100 h 00 min"),
    ],
)
def test_a_duration_reads_as_a_person_says_it(seconds, text):
    assert format_seconds(seconds) == text


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets: `clock[0] = 12.0` is a moment over twelve seconds after it
    began.
    """
    times, began = [0.0], time.monotonic() + 0.05
    monkeypatch.setattr(distill.runtime.progress.time, "monotonic", lambda: began + times[0])
    return times


@pytest.fixture
def shown(capsys):
    return lambda: capsys.readouterr().err


def test_without_a_terminal_there_is_no_live_bar(clock, shown):
    with Progress().task("reading", total=100, unit="lines") as task:
        for _ in range(100):
            task.advance()
    assert shown() == ""


def test_without_a_terminal_a_line_comes_every_few_seconds(clock, shown):
    with Progress().task("reading", total=100, unit="lines") as task:
        for second in range(1, 51):
            clock[0] = float(second)
            task.advance(2, f"at {second}")
    lines = shown().splitlines()
    assert len(lines) == 50 // LOG_SECONDS
    assert lines[0] == "reading: 20/100 lines · at 10 · 40 s left"
    assert lines[-1] == "reading: 100/100 lines · at 50 · 0 s left"


def test_without_a_total_the_count_alone_is_told(clock, shown):
    with Progress().task("reading", unit="documents") as task:
        clock[0] = 11.0
        task.advance(1234567)
    assert shown() == "reading: 1,234,567 documents\n"


def test_the_time_left_counts_only_what_this_process_did(clock):
    with Progress(quiet=True).task("distilling", total=1000, already=900) as task:
        assert task.seconds_left is None  # nothing can be said yet
        clock[0] = 5.0
        task.advance(50)
        assert task.done == 950
        assert task.seconds_left == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_quiet_display_shows_nothing(clock, terminal):
    progress, written = _display(terminal, quiet=True)
    with progress.task("reading", total=10) as task:
        clock[0] = 20.0
        task.advance()
    progress.say("a word")
    assert written.getvalue() == ""


def _display(terminal: bool, quiet: bool = False) -> tuple[Progress, io.StringIO]:
    progress, written = Progress(quiet=quiet), io.StringIO()
    progress.console = Console(
        file=written, force_terminal=terminal, quiet=quiet, width=100, highlight=False
    )
    return progress, written


def test_a_terminal_has_a_live_bar_that_goes_when_done():
    progress, written = _display(terminal=True)
    with progress.task("reading [it]", total=10, unit="lines") as task:
        task.advance(5, "half [way]")
        progress._bars.refresh()
        assert "5/10 lines" in written.getvalue()
        assert "half [way]" in written.getvalue()
        assert "reading [it]" in written.getvalue()
    assert progress._bars is None
    assert written.getvalue().endswith("\x1b[2K")  # the line is erased


def test_a_task_may_run_within_another_on_a_terminal():
    progress, _ = _display(terminal=True)
    with (
        progress.task("outer", total=2, unit="files") as outer,
        progress.task("inner", total=3, unit="lines") as inner,
    ):
        inner.advance()
        outer.advance()
    assert (outer.done, inner.done) == (1, 1)


def test_a_message_is_shown_as_it_is(shown):
    Progress().say("source [bold]x[/bold]: " + "long " * 60, "yellow")
    told = shown()
    assert told.startswith("source [bold]x[/bold]: long")
    assert told.count("\n") == 1


def test_time_spent_on_something_else_does_not_slow_the_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(name="work", unit="", total=10, started=0.0)
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    task.rest(90)
    task.advance(5)
    assert task.seconds_left == pytest.approx(10)


def test_no_time_is_left_where_more_was_done_than_planned() -> None:
    task = Task(name="distillation", unit="tokens", total=100)
    task.done = 103
    assert task.seconds_left == 0
