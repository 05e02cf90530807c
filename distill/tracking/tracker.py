"""A run tells here what it does; MLflow gets it: one run a recipe run, a child run a stage and an
evaluated model and task.

Tracking never decides over a run: what a store that is away cannot take is kept in the run's
folder, and sent when the store is back, at the end, or by the next run of the recipe.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

from distill.runtime.files import write_whole
from distill.runtime.progress import Progress
from distill.runtime.secrets import without_password
from distill.tracking.address import tracking_uri
from distill.tracking.best import Standing
from distill.tracking.outbox import Event, Outbox
from distill.tracking.store import AwayError, RefusedError, Store
from distill.tracking.system import SystemMetrics

_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0  # seconds between two looks whether the store is back


def flatten(values: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, with dotted keys; lists stay whole."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in flatten(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def readable(value: float) -> float:
    """A figure to four digits; from 1000 on and for counts to the unit."""
    if isinstance(value, int) or abs(value) < 1000:
        return float(value if isinstance(value, int) else f"{value:.4g}")
    return float(round(value)) if isfinite(value) else value


def send_what_was_kept(experiment: str, run_folder: Path, progress: Progress) -> None:
    """Send what an earlier run could not, if there is anything."""
    if any(run_folder.glob("tracking-*/events.jsonl")):
        Tracker(experiment, run_folder, progress).send_what_was_kept()


@dataclass
class _Memory:
    """What the next process has to know of a run, kept in its folder."""

    parent: str = ""
    children: dict[str, str] = field(default_factory=dict)
    """The handle of each child that did not finish, by its name."""
    finished: bool = True
    asked: str = ""
    """The hash of the parameters."""


class Tracker:
    """One recipe run in MLflow, which goes on where an unfinished one stopped."""

    def __init__(self, experiment: str, run_folder: Path, progress: Progress) -> None:
        self._progress = progress
        uri = tracking_uri()
        # Each store has a folder of its own: what one lacks is nothing to another.
        self._outbox = Outbox(run_folder / f"tracking-{sha256(uri.encode()).hexdigest()[:8]}")
        self._memory_file = self._outbox.folder / "run.json"
        self._memory, runs = self._recall()
        self._store = Store(uri, experiment, runs, is_doubtful=self._memory_file.is_file())
        self._children: list[str] = []
        self._done: list[str] = []
        self._tags: dict[str, str] = {}
        self._system: SystemMetrics | None = None
        self._is_away = not self._outbox.is_empty
        self._told: set[str] = set()
        self._pause, self._next_look = _FIRST_PAUSE, 0.0

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Begin a run, or go on with the one of this folder that did not finish and had the same
        parameters; `tags` are its children's too.
        """
        asked = sha256(json.dumps(parameters, sort_keys=True, default=str).encode())
        of_another = self._memory.asked not in ("", asked.hexdigest())
        if self._memory.finished or of_another:
            self._memory = _Memory(parent=uuid4().hex, finished=False)
        self._memory.asked = asked.hexdigest()
        self._tags = dict(tags)
        self._remember()
        if not self._is_away and not self._store.answers():
            self._leave("no answer")
        values = {key: without_password(str(value)) for key, value in flatten(parameters).items()}
        self._begin(
            self._memory.parent, without_password(name), {**tags, "stage": "recipe"}, values
        )

    def finish(self, status: str) -> None:
        """Close the run and whatever child is open as FINISHED, FAILED or KILLED."""
        for handle in [*reversed(self._children), self._memory.parent]:
            self._end(handle, status)
        self._children.clear()
        self._memory.finished = status == "FINISHED"
        self._remember()
        self.send_what_was_kept()

    def send_what_was_kept(self) -> None:
        """Send it now, or say where it lies."""
        if self._is_away and not self._catch_up():
            self._progress.say(
                f"MLflow at {self._shown_uri} did not come back; what it lacks lies in "
                f"{self._outbox.folder}, and the next run "
                "of this recipe sends it.",
                "yellow",
            )
        if self._memory.finished and self._outbox.is_empty:
            shutil.rmtree(self._outbox.folder, ignore_errors=True)

    @contextmanager
    def child(
        self, name: str, tags: Mapping[str, str] | None = None, *, with_system: bool = False
    ) -> Iterator[None]:
        """A child run while the block runs; children nest, and one that did not finish is gone on
        with.

        `with_system` logs the machine's load beside each metric that the run logs, every ten
        seconds at most.
        """
        handle = self._memory.children.setdefault(name, uuid4().hex)
        self._remember()
        self._begin(handle, name, {**self._tags, **(tags or {})}, {}, parent=self._current)
        self._children.append(handle)
        self._system = SystemMetrics() if with_system else None
        yield
        self._system = None
        self._end(self._children.pop(), "FINISHED")
        self._done.append(name)
        if (
            not self._children
        ):  # until then: a stage that is gone on with logs its finished children once more
            for done in self._done:
                self._memory.children.pop(done, None)
            self._done.clear()
        self._remember()

    def log(self, metrics: Mapping[str, float | int | None], step: int = 0) -> None:
        """Metrics of the innermost open run, rounded as a person reads them."""
        values = {key: value for key, value in metrics.items() if value is not None}
        if self._system is not None:
            values |= self._system.sample()
        now = _now()
        self._put(
            "metrics", metrics=[[key, readable(value), now, step] for key, value in values.items()]
        )

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file of the innermost open run."""
        self._put("artifact", path=str(path.resolve()), folder=folder)

    def rename(self, name: str) -> None:
        """What the run is called, where more is known than at its start."""
        self._put("tags", tags={"mlflow.runName": name})

    def describe(self, text: str) -> None:
        """The words above the run's page, as Markdown."""
        self._put("tags", tags={"mlflow.note.content": text})

    def model(self, folder: Path, name: str) -> None:
        """The transformers model in `folder`, logged so that `mlflow.transformers.load_model` loads
        it.
        """
        self._put("model", path=str(folder.resolve()), name=name)

    def register(self, name: str, student: Standing) -> None:
        """Make the logged model a version of the registered model `name`, and its best one if it
        scores higher on dev.
        """
        self._put("register", name=name, student=asdict(student))

    @property
    def _current(self) -> str:
        return self._children[-1] if self._children else str(self._memory.parent)

    @property
    def _shown_uri(self) -> str:
        return without_password(self._store.uri)

    def _begin(
        self,
        handle: str,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        parent: str = "",
    ) -> None:
        self._put(
            "start",
            handle,
            name=name,
            tags=dict(tags),
            parameters=dict(parameters),
            parent=parent,
            time=_now(),
        )
        self._remember()

    def _end(self, handle: str, status: str) -> None:
        self._put("status", handle, status=status, time=_now())

    def _put(self, kind: str, run: str | None = None, **content: Any) -> None:
        """Send an event, or keep it if the store is away."""
        event = {"kind": kind, "run": run or self._current, **content}
        if not self._is_away:
            try:
                self._send(event)
                return
            except AwayError as error:
                self._leave(str(error))
        if not self._outbox.keep(event):
            self._tell(
                "full",
                "there is no more room for what it lacks; further curves and files are dropped.",
            )
        if time.monotonic() >= self._next_look:
            self._catch_up()

    def _send(self, event: Event) -> None:
        try:
            if line := self._store.send(event):
                self._progress.say(f"MLflow: {line}")
        except RefusedError as error:
            self._tell(
                event["kind"], f"the {event['kind']} of a run could not be logged ({error})."
            )

    def _tell(self, about: str, line: str) -> None:
        """A warning, once a run."""
        if about not in self._told:
            self._progress.say(f"MLflow: {line}", "yellow")
        self._told.add(about)

    def _leave(self, reason: str) -> None:
        self._is_away = True
        self._next_look = time.monotonic() + self._pause
        self._progress.say(
            f"MLflow at {self._shown_uri} cannot be written to ({reason}); going on without it, "
            "and keeping what it lacks.",
            "yellow",
        )

    def _catch_up(self) -> bool:
        """Send what was kept, if the store is back; whether it is."""
        try:
            if not self._store.answers():
                raise AwayError("no answer")
            self._outbox.drain(self._send)
        except AwayError:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._next_look = time.monotonic() + self._pause
            return False
        finally:
            self._remember()
        self._is_away, self._pause = False, _FIRST_PAUSE
        self._progress.say(f"MLflow at {self._shown_uri} is back, and has what was kept.")
        return True

    def _recall(self) -> tuple[_Memory, dict[str, str]]:
        """What an earlier process knew, and the store's runs by handle; nothing where that cannot
        be read.
        """
        try:
            noted = json.loads(self._memory_file.read_text(encoding="utf-8"))
            runs = noted.pop("runs")
            return _Memory(**noted), runs
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return _Memory(), {}

    def _remember(self) -> None:
        self._outbox.folder.mkdir(parents=True, exist_ok=True)
        noted = {**asdict(self._memory), "runs": self._store.runs}
        write_whole(self._memory_file, json.dumps(noted))


def _now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
