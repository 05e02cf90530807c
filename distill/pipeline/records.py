"""Where a run keeps its stages on disk: each in a folder of its own, written beside and renamed
into place when whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from distill.runtime.files import MARK, RECORD, write_whole
from distill.runtime.version import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What `stage.json` says of a finished stage."""

    fingerprint: str
    started: str
    finished: str
    seconds: float
    result: dict[str, Any]

    @property
    def identity(self) -> str:
        """Equal only for one and the same execution: what a later stage's fingerprint holds of an
        earlier one.
        """
        return f"{self.fingerprint}@{self.started}"


class StageFolder:
    """The folder of one stage of one run."""

    def __init__(self, run_folder: Path, stage: str) -> None:
        self.final = run_folder / stage
        self.partial = run_folder / f".{stage}.partial"
        self._stale = run_folder / f".{stage}.old"

    def record(self) -> Record | None:
        """The record of the finished stage, or None if there is none that can be read."""
        if (
            not self.final.exists() and self._stale.exists()
        ):  # killed between the two renames of `finish`
            self._stale.rename(self.final)
        try:
            return Record(**json.loads((self.final / RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, work: str, *, resumable: bool) -> Path:
        """A folder to work in: what a cut-off try left there if it was at the same work, else
        empty.
        """
        mark = self.partial / MARK
        left = mark.read_text(encoding="utf-8") if mark.is_file() else None
        if not resumable or left != work:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            mark.write_text(work, encoding="utf-8")
        return self.partial

    def finish(self, record: Record) -> None:
        """Put the worked-in folder, with its record, in the stage's place."""
        (self.partial / RECORD).write_text(_record_text(record), encoding="utf-8")
        (self.partial / MARK).unlink()
        shutil.rmtree(self._stale, ignore_errors=True)
        if self.final.exists():
            self.final.rename(self._stale)
        self.partial.rename(self.final)
        shutil.rmtree(self._stale, ignore_errors=True)

    def amend(self, record: Record) -> None:
        """Give the finished stage another record: of what was done with it since."""
        write_whole(self.final / RECORD, _record_text(record))


def _record_text(record: Record) -> str:
    return json.dumps(asdict(record), ensure_ascii=False, indent=2) + "\n"


def fingerprint(parts: Mapping[str, Any], *rooms: str) -> str:
    """A hash of what a stage depends on: the given parts, the package's version and the source code
    of its rooms.
    """
    code = sha256()
    for room in rooms:
        for path in sorted((Path(__file__).parents[1] / room).rglob("*")):
            if path.suffix in (".py", ".j2"):
                code.update(path.name.encode() + path.read_bytes())
    content = {"parts": parts, "version": __version__, "code": code.hexdigest()}
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def now() -> str:
    """The current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
