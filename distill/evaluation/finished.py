"""What an evaluation has measured so far, a JSON line each, so that an interrupted one goes on with
what is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from distill.runtime.files import write_whole
from distill.runtime.hashes import hash_text
from distill.runtime.interruption import Interruption

MEASURED = "measured.jsonl"
"""The file of one evaluation's measurements."""

Entry = dict[str, Any]
"""A line of measured.jsonl: a model on a task, and what was measured."""
Key = tuple[str, str, int | None, float | None]
"""Model, task, and of a fine-tune the seed's number and the learning rate."""
_DIGEST = "digest"


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
    """The lines of one file, by what they are of."""

    def __init__(self, path: Path, interruption: Interruption) -> None:
        """Takes up what is there and whole."""
        self._path, self._interruption = path, interruption
        self._found: dict[Key, Entry] = {_key(entry): entry for entry in read_entries(path)}
        write_whole(path, "".join(map(line_of, self._found.values())))

    def count(self, models: Collection[str]) -> int:
        """How much was measured of these models."""
        return sum(entry["model"] in models for entry in self._found.values())

    def find(
        self, model: str, task: str, seed: int | None = None, learning_rate: float | None = None
    ) -> Entry | None:
        """What was measured of it, or None."""
        return self._found.get((model, task, seed, learning_rate))

    def precision(self) -> str | None:
        """The arithmetic in which earlier fine-tunes ran, which later ones must share."""
        return next(
            (entry["precision"] for entry in self._found.values() if "precision" in entry), None
        )

    def add(self, entry: Entry) -> Entry:
        """Keep an entry, on disk when this returns. Raises Interrupted if a signal arrived
        meanwhile.
        """
        with self._interruption.deferred():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line_of(entry))
                file.flush()
                os.fsync(file.fileno())
            self._found[_key(entry)] = entry
        self._interruption.check()
        return entry


def _key(entry: Entry) -> Key:
    return entry["model"], entry["task"], entry.get("seed"), entry.get("learning_rate")
