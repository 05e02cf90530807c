"""The steps of the run, most important first. Each takes the bundle and a function that keeps a
row of figures as soon as it is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Keep = Callable[..., Any]
"""Takes figures by keyword and appends them to the results."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where and how much a step measures."""

    device: str
    """`cuda`, or `cpu` for the rehearsal."""
    rehearsal: bool
    """Whether tiny budgets take the place of those that figures need."""
    output: Path
    """The folder that comes back."""
    only: str | None = None
    """Which part of the step; None is all that has no name of its own."""


@contextmanager
def log_every_step() -> Iterator[None]:
    """While open, the distillation loop logs the figures of every step, not of every tenth."""
    from distill.distillation import loop

    before, loop.LOG_STEPS = loop.LOG_STEPS, 1
    try:
        yield
    finally:
        loop.LOG_STEPS = before
