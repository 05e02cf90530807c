"""What a store has yet to get: events in a file, in order, and copies of the files that they
name.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.runtime.files import write_whole

Event = Mapping[str, Any]
"""Something to send: its `kind`, its `run`, and what goes with them; JSON."""

LIMIT_BYTES = 16 * 2**20
"""A day's losses and the plots fit many times; beyond it only what is small and matters is kept."""
BATCH = 1000
"""As many metrics as MLflow takes at once."""


class Outbox:
    """A queue on disk that outlives the process."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self._file = folder / "events.jsonl"
        self._files = folder / "files"
        self._limit = limit_bytes
        self._bytes = sum(
            path.stat().st_size for path in (self._file, *self._files.rglob("*")) if path.is_file()
        )
        self._copies = max((int(path.name) for path in self._files.glob("*")), default=0)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing left to send."""
        return not self._file.is_file()

    def keep(self, event: Event) -> bool:
        """Put an event last; False if there is no room for it. Curves and files need room, the rest
        always has it.
        """
        size = Path(event["path"]).stat().st_size if event["kind"] == "artifact" else 0
        if self._bytes + size > self._limit and (event["kind"] == "artifact" or _is_curve(event)):
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        if event["kind"] == "artifact":  # the original is moved or overwritten before long
            self._copies += 1
            copy = self._files / str(self._copies) / Path(event["path"]).name
            copy.parent.mkdir(parents=True)
            shutil.copyfile(event["path"], copy)
            event = {**event, "path": str(copy.resolve())}
        # A newline on both sides: what a kill cut off spoils its own line alone.
        line = "\n" + json.dumps(event) + "\n"
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line)
        self._bytes += size + len(line)
        return True

    def drain(self, send: Callable[[Event], None]) -> None:
        """Send the events, oldest first. If `send` raises, the event that it failed at and those
        after it stay.
        """
        if self.is_empty:
            return
        events = [
            event
            for line in self._file.read_text(encoding="utf-8").splitlines()
            if (event := _parse(line))
        ]
        done = 0
        try:
            for event, count in _batches(events):
                send(event)
                done += count
        finally:
            if done < len(events):
                write_whole(
                    self._file, "".join(json.dumps(event) + "\n" for event in events[done:])
                )
            else:
                self._file.unlink()
                shutil.rmtree(self._files, ignore_errors=True)
                self._bytes = self._copies = 0


def _batches(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """The events, each with how many it stands for: metrics of one run that follow one another go
    together.
    """
    start = 0
    while start < len(events):
        event, end = events[start], start + 1
        if event["kind"] == "metrics":
            metrics = list(event["metrics"])
            while end < len(events) and _goes_with(event, events[end], len(metrics)):
                metrics += events[end]["metrics"]
                end += 1
            event = {**event, "metrics": metrics}
        yield event, end - start
        start = end


def _goes_with(event: Event, other: Event, size: int) -> bool:
    same = other["kind"] == "metrics" and other["run"] == event["run"]
    return same and size + len(other["metrics"]) <= BATCH


def _parse(line: str) -> Event | None:
    try:
        event: Event = json.loads(line)
    except ValueError:  # an empty line, or one that a kill cut off
        return None
    return event


def _is_curve(event: Event) -> bool:
    return event["kind"] == "metrics" and any(step for _, _, _, step in event["metrics"])
