"""Where a run keeps its stages on disk: each in a folder of its own, renamed into place when
whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from distill.runtime.files import MARK, RECORD, flush, flush_folder, write_whole
from distill.runtime.hashes import hash_file

FORMAT = 2
"""Of stage.json: 1 had fingerprints of source files and of times; it is recognised, not read."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record(Generic[T]):
    """What `stage.json` says of a finished stage."""

    fingerprint: str
    started: str
    finished: str
    seconds: float
    result: T

    @property
    def identity(self) -> str:
        """Equal only for the same execution: what a later stage's fingerprint holds of this one."""
        return f"{self.fingerprint}@{self.started}"


Files = dict[str, tuple[int, str]]
"""Size and hash of each file of a stage, by its name relative to the stage's folder."""


class StageFolder(Generic[T]):
    """The folder of one stage of one run, whose results are of one class."""

    def __init__(
        self, run_folder: Path, stage: str, result: type[T], scaffolds: tuple[str, ...] = ()
    ) -> None:
        """`scaffolds` are folders that the stage needs only while it is under way."""
        self.final = run_folder / stage
        self.partial = run_folder / f".{stage}.partial"
        self._stale = run_folder / f".{stage}.old"
        self._result = result
        self._scaffolds = scaffolds

    def record(self) -> Record[T] | None:
        """The record of the finished stage, or None if there is none that can be read."""
        content = self._content()
        if content.pop("format", None) != FORMAT:
            return None
        content.pop("files", None)
        try:
            result = adapter(self._result).validate_python(content.pop("result"))
            return Record(result=result, **content)
        except (KeyError, TypeError, ValidationError):
            return None

    @property
    def is_of_earlier_version(self) -> bool:
        """Whether the record was written in an earlier format."""
        content = self._content()
        return "fingerprint" in content and content.get("format", 1) != FORMAT

    def damage(self, *, thorough: bool) -> str | None:
        """What is wrong with the files that the finished stage left, or None: one is missing or has
        another size, or with `thorough` another content.
        """
        files: Files = self._content().get("files", {})
        for name, (size, digest) in files.items():
            path = self.final / name
            if not path.is_file():
                return f"{path} is missing"
            if path.stat().st_size != size:
                return f"{path} has {path.stat().st_size:,} bytes, not {size:,}"
            if thorough and hash_file(path) != digest:
                return f"{path} is not as it was written"
        return None

    @property
    def is_under_way(self) -> bool:
        """Whether a try was cut off."""
        return (self.partial / MARK).is_file()

    def begin(self, work: str, *, resumable: bool) -> Path:
        """A folder to work in: what a try that was cut off left there if it was at the same work,
        else an empty one.
        """
        mark = self.partial / MARK
        left = mark.read_bytes() if mark.is_file() else None
        if not resumable or left != work.encode():
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            mark.write_text(work, encoding="utf-8")
        return self.partial

    def finish(self, record: Record[T]) -> None:
        """Put the folder that was worked in, with its record, in the stage's place.

        Scaffolds go last: until the folder is in place a killed run goes on from them.
        """
        text = self._text(record, self._listed())
        (self.partial / RECORD).write_text(text, encoding="utf-8")
        flush_folder(self.partial)
        shutil.rmtree(self._stale, ignore_errors=True)
        if self.final.exists():
            self.final.rename(self._stale)
        self.partial.rename(self.final)
        flush(self.final.parent)
        self._tidy_up()

    def _tidy_up(self) -> None:
        """Remove what the stage in place needs no longer; the mark last, since while it is there
        this was not finished.
        """
        for folder in (self._stale, *(self.final / name for name in self._scaffolds)):
            shutil.rmtree(folder, ignore_errors=True)
        (self.final / MARK).unlink(missing_ok=True)

    def _listed(self) -> Files:
        """The files of the folder that is worked in, but for what is removed in the end."""
        apart = {MARK, RECORD, *self._scaffolds}
        return {
            path.relative_to(self.partial).as_posix(): (path.stat().st_size, hash_file(path))
            for path in sorted(self.partial.rglob("*"))
            if path.is_file() and path.relative_to(self.partial).parts[0] not in apart
        }

    def amend(self, record: Record[T]) -> None:
        """Give the finished stage another record: of what was done with it since."""
        files = self._content().get("files", {})
        write_whole(self.final / RECORD, self._text(record, files))

    def _content(self) -> dict[str, Any]:
        """What stage.json holds; nothing if it cannot be read."""
        # Killed between the two renames of `finish`.
        if not self.final.exists() and self._stale.exists():
            self._stale.rename(self.final)
        if (self.final / MARK).is_file():  # killed after the renames
            self._tidy_up()
        try:
            content = json.loads((self.final / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _text(self, record: Record[T], files: Files) -> str:
        content = {
            "format": FORMAT,
            "fingerprint": record.fingerprint,
            "started": record.started,
            "finished": record.finished,
            "seconds": record.seconds,
            "files": files,
            "result": adapter(self._result).dump_python(record.result, mode="json"),
        }
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


_ADAPTERS: dict[object, TypeAdapter[Any]] = {}


def adapter(result: type[T]) -> TypeAdapter[T]:
    """Reads and writes results of one class."""
    if result not in _ADAPTERS:
        _ADAPTERS[result] = TypeAdapter(result)
    return _ADAPTERS[result]


def fingerprint(parts: Mapping[str, object]) -> str:
    """A hash of what a stage depends on, as plain values."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def now() -> str:
    """The current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
