"""The progress display, the one room besides the command line that writes to the terminal.

On a terminal a live bar with time left; elsewhere (a log, CI) a line every few seconds. Everything
goes to standard error, so that standard output stays for results.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress as Bars,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from distill.runtime.secrets import without_password

T = TypeVar("T")
LOG_SECONDS = 10.0
"""Where there is no terminal, a line this often."""


@dataclass
class Task:
    """One thing under way: advanced by whoever does it, shown by the display."""

    name: str
    unit: str
    total: float | None
    done: float = 0.0
    started: float = field(default_factory=time.monotonic)
    already: float = 0.0
    """How much was done before this process took over."""
    detail: str = ""
    _shown: float = field(default_factory=time.monotonic)
    _display: Progress | None = None
    _bar: TaskID | None = None

    def advance(self, amount: float = 1.0, detail: str | None = None) -> None:
        """`amount` more is done; `detail` is a few words on how it goes."""
        self.done += amount
        self.detail = self.detail if detail is None else detail
        if self._display is not None:
            self._display._show(self)

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted when it is done with."""
        for item in items:
            yield item
            self.advance()

    def rest(self, seconds: float) -> None:
        """So much time went into something else, which says nothing of this task's pace."""
        self.started += seconds

    @property
    def seconds_left(self) -> float | None:
        """The time left at the pace so far, or None while nothing can be said."""
        elapsed, gained = time.monotonic() - self.started, self.done - self.already
        if self.total is None or gained <= 0:
            return None
        # A last batch may go beyond the total.
        return elapsed * max(0.0, self.total - self.done) / gained


class Progress:
    """Shows tasks and messages; a quiet one shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bars: Bars | None = None

    def say(self, text: str, style: str | None = None) -> None:
        """One line for the user."""
        self.console.print(escape(without_password(text)), style=style, soft_wrap=True)

    def warn(self, warnings: Iterable[str]) -> None:
        """A line for each thing that the user should know of."""
        for warning in warnings:
            self.say(warning, "yellow")

    @contextmanager
    def task(
        self, name: str, *, total: float | None = None, unit: str = "", already: float = 0.0
    ) -> Iterator[Task]:
        """A task under way as long as the block runs; without a total only its count is known."""
        task = Task(name=name, unit=unit, total=total, done=already, already=already)
        task._display = self
        if self.quiet or not self.console.is_terminal:
            yield task
            return
        columns: list[Any] = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
        ]
        columns += (
            [TimeElapsedColumn()] if total is None else [TimeRemainingColumn(), TextColumn("left")]
        )
        with Bars(
            *columns, TextColumn("[dim]{task.fields[detail]}"), console=self.console, transient=True
        ) as bars:
            self._bars, outer = bars, self._bars
            task._bar = bars.add_task(
                escape(name), total=total, completed=int(already), count="", detail=""
            )
            try:
                yield task
            finally:
                self._bars = outer

    def _show(self, task: Task) -> None:
        count = (
            f"{task.done:,.0f}" + (f"/{task.total:,.0f}" if task.total else "") + f" {task.unit}"
        )
        if self._bars is not None and task._bar is not None:
            self._bars.update(
                task._bar,
                total=task.total,
                completed=task.done,
                count=count,
                detail=escape(task.detail),
            )
            return
        now = time.monotonic()
        if now - task._shown < LOG_SECONDS:
            return
        task._shown = now
        left = task.seconds_left
        parts = [
            f"{task.name}: {count}",
            task.detail,
            "" if left is None else f"{format_seconds(left)} left",
        ]
        self.say(" · ".join(part for part in parts if part))


def format_seconds(seconds: float) -> str:
    """A duration as a person says it: 42 s, 3 min 05 s, 2 h 10 min."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def silence_libraries() -> None:
    """Turn off the progress bars and advice of libraries, which would break ours."""
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
