"""What a stage is: what it reads, what it depends on, and what does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.pipeline.run import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the way."""

    name: str
    reads: tuple[str, ...]
    """The stages that it reads the folders and results of; one that the recipe does not ask for is
    left out.
    """
    depends_on: Callable[[Run], dict[str, Any]]
    """What it depends on besides, as plain values."""
    execute: Callable[[Run, Path], Any]
    """Does it, in the folder given, and returns its result."""
    borrows: tuple[str, ...] = ()
    """The rooms besides its own whose code its results come from."""
    resumable: bool = False
    shared: bool = False
    """Whether all processes of a launch work on it; the others are the first one's alone."""
