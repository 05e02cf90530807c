"""What a stage is: what it reads, what it depends on, what it leaves, and what does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from distill.pipeline.records import StageFolder
from distill.pipeline.run import Run

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Generic[T]):
    """One step of the way."""

    name: str
    """That of its section of the recipe, and of its folder."""
    revision: int
    """Raised by hand when the code gives other results for the same input: finished runs are then
    redone. `make revisions` notes that a change of the code was looked at.
    """
    reads: tuple[str, ...]
    """The stages that it reads the folders and results of; one that the recipe does not ask for is
    left out.
    """
    depends_on: Callable[[Run], dict[str, object]]
    """What it depends on besides, as plain values: content, never a place or a time."""
    result: type[T]
    """What it returns, which stage.json keeps."""
    execute: Callable[[Run, Path], T]
    """Does it, in the folder given, and returns its result."""
    resumable: bool = False
    scaffolds: tuple[str, ...] = ()
    """Folders in its own that it needs only until it is finished."""
    shared: bool = False
    """Whether all processes of a launch work on it; the others are the first one's alone."""
    is_trained: bool = False
    """Whether it holds models and checkpoints: its space is checked and the machine watched."""

    def folder(self, run: Run) -> StageFolder[T]:
        """Where the run keeps it."""
        return StageFolder(run.folder, self.name, self.result, self.scaffolds)
