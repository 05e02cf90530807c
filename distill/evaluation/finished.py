"""What an evaluation has measured so far, a JSON line each, so that an interrupted one goes on with
what is missing.

Several processes of a launch share one evaluation: each writes to a file of its own, reads those of
the others, and measures what is neither there nor under way. What is under way is locked; the
system releases the lock of a process that dies.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from distill.runtime.files import write_whole
from distill.runtime.hashes import hash_text
from distill.runtime.interruption import Interruption
from distill.runtime.lock import held
from distill.runtime.processes import Processes

MEASURED = "measured.jsonl"
"""The file of one evaluation's measurements."""
_PARTS = "measured-*.jsonl"
"""Those of the processes of a launch but the first, while it lasts."""
_CLAIMS = "claims"
"""The folder of the locks of what is under way."""
_PAUSE = 0.2
"""Seconds between two looks at what the other processes have measured."""

Entry = dict[str, Any]
"""A line of measured.jsonl: a model on a task, and what was measured."""
Key = tuple[str, str, int | None, float | None]
"""Model, task, and of a fine-tune the seed's number and the learning rate."""
_DIGEST = "digest"
_T = TypeVar("_T")


class ElsewhereError(Exception):
    """Another process of the launch is at it."""


def read_entries(path: Path) -> Iterator[Entry]:
    """The measurements of a file; what was cut off or damaged of it counts as not measured."""
    try:
        content = path.read_bytes()
    except OSError:
        return
    for line in content.split(b"\n"):
        try:
            entry = json.loads(line)
            digest = entry.pop(_DIGEST, None)  # none was written by earlier versions
            if {"model", "task"} <= entry.keys() and digest in (None, _digest(entry)):
                yield entry
        except (ValueError, AttributeError, TypeError):
            continue


def line_of(entry: Entry) -> str:
    """The line of an entry, with a hash of it."""
    return json.dumps({**entry, _DIGEST: _digest(entry)}) + "\n"


def _digest(entry: Entry) -> str:
    return hash_text(json.dumps(entry))


class Finished:
    """The lines of one evaluation, by what they are of."""

    def __init__(
        self, path: Path, interruption: Interruption, processes: Processes | None = None
    ) -> None:
        """Takes up what is there and whole, also of the parts of a launch that was cut off.

        Every process of a launch makes one at the same time.
        """
        self._path, self._interruption = path, interruption
        self._processes = processes or Processes(alone=True)
        self._read: dict[Path, int] = {}
        self.taken_up = 0
        """How much the other processes have measured, as far as it is known here."""
        self._found: dict[Key, Entry] = {}
        if self._processes.is_first:
            self._own = path
            self._gather()
        self._processes.wait()
        if not self._processes.is_first:
            self._own = path.with_name(_PARTS.replace("*", str(self._processes.index)))
            self.refresh()

    def count(
        self,
        models: Collection[str],
        counts: Callable[[int | None, float | None], bool] = lambda seed, learning_rate: True,
    ) -> int:
        """How much was measured of these models, as far as its seed and learning rate count."""
        return sum(
            model in models and counts(seed, learning_rate)
            for model, _, seed, learning_rate in self._found
        )

    def find(
        self, model: str, task: str, seed: int | None = None, learning_rate: float | None = None
    ) -> Entry | None:
        """What was measured of it, or None."""
        return self._found.get((model, task, seed, learning_rate))

    def measured(
        self,
        model: str,
        task: str,
        measure: Callable[[], Entry],
        *,
        seed: int | None = None,
        learning_rate: float | None = None,
    ) -> Entry:
        """What was measured of it, or else what `measure` gives, which is then kept, on disk when
        this returns.

        Raises ElsewhereError where another process measures it, and Interrupted if a signal arrived
        meanwhile.
        """
        key = (model, task, seed, learning_rate)
        if (kept := self._found.get(key)) is not None:
            return kept
        with self.claimed("\t".join(map(str, key))):
            if (kept := self._found.get(key)) is not None:
                return kept
            of_a_seed = {} if seed is None else {"seed": seed, "learning_rate": learning_rate}
            return self.add({"model": model, "task": task, **of_a_seed, **measure()})

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Keep the other processes from the work of that name; what they have done of it is read
        first. Raises ElsewhereError where one of them is at it.
        """
        if self._processes.count == 1:
            yield
            return
        claims = self._path.with_name(_CLAIMS)
        with held(claims / hash_text(name)[:16]) as is_ours:
            if not is_ours:
                raise ElsewhereError(name)
            self.refresh()
            yield

    def precision(self) -> str | None:
        """The arithmetic in which earlier fine-tunes ran, which later ones must share."""
        return next(
            (entry["precision"] for entry in self._found.values() if "precision" in entry), None
        )

    def refresh(self) -> int:
        """Take up what other processes have measured since; how much that is."""
        before = len(self._found)
        for part in (self._path, *self._path.parent.glob(_PARTS)):
            if part != self._own and part.is_file() and part.stat().st_size != self._read.get(part):
                self._read[part] = part.stat().st_size
                self._found |= {_key(entry): entry for entry in read_entries(part)}
        new = len(self._found) - before
        self.taken_up += new
        return new

    def wait(self) -> None:
        """Wait a moment for what others measure. Raises Interrupted after a signal."""
        self._interruption.check()
        time.sleep(_PAUSE)
        self.refresh()

    def finish(self) -> None:
        """Wait for all processes, and have what they measured in one file."""
        if self._processes.count == 1:
            return
        self._processes.wait()
        if self._processes.is_first:
            self._gather()
        self._processes.wait()

    def add(self, entry: Entry) -> Entry:
        """Keep an entry, on disk when this returns. Raises Interrupted if a signal arrived
        meanwhile.
        """
        with self._interruption.deferred():
            with self._own.open("a", encoding="utf-8") as file:
                file.write(line_of(entry))
                file.flush()
                os.fsync(file.fileno())
            self._found[_key(entry)] = entry
        self._interruption.check()
        return entry

    def _gather(self) -> None:
        parts = sorted(self._path.parent.glob(_PARTS))
        entries = [entry for part in (self._path, *parts) for entry in read_entries(part)]
        self._found |= {_key(entry): entry for entry in entries}
        write_whole(self._path, "".join(map(line_of, self._found.values())))
        for part in parts:
            part.unlink()
        shutil.rmtree(self._path.with_name(_CLAIMS), ignore_errors=True)


def each_here(measures: Iterable[Callable[[], _T]]) -> list[_T]:
    """What each gives; one that is measured elsewhere does not keep this process from the others.

    Raises ElsewhereError in the end if there was such a one.
    """
    given: list[_T] = []
    elsewhere: ElsewhereError | None = None
    for measure in measures:
        try:
            given.append(measure())
        except ElsewhereError as error:
            elsewhere = error
    if elsewhere is not None:
        raise elsewhere
    return given


def _key(entry: Entry) -> Key:
    return entry["model"], entry["task"], entry.get("seed"), entry.get("learning_rate")
