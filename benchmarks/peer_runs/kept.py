"""The file of results: rows that are there are not measured again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peer_runs.commands import FailedError
from benchmarks.peer_runs.environments import CannotInstallError
from benchmarks.provenance import provenance


class Kept:
    """The file of results: what is there already is not measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def open(self, name: str, settings: dict[str, Any]) -> None:
        """Go on with a section, or begin it anew where it had other settings or another processor:
        times of two do not compare.
        """
        found, about = self.content.get(name, {}), provenance(settings)
        processors = [of.get("machine", {}).get("processor") for of in (found, about)]
        if found.get("settings") != settings or processors[0] != processors[1]:
            self.content[name] = {**about, "rows": {}}

    def section(self, name: str) -> dict[str, Any]:
        """What is kept under a name."""
        section: dict[str, Any] = self.content[name]
        return section

    def row(self, section: str, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A row, measured and written where it is missing; a failure is a row with a reason, and is
        tried again the next time.
        """
        rows = self.section(section)["rows"]
        if "reason" in rows.get(key, {"reason": "missing"}):
            print(f"{section}: {key}", flush=True)
            try:
                rows[key] = measure()
            except (CannotInstallError, FailedError) as error:
                rows[key] = {"reason": str(error)}
            text = json.dumps(self.content, indent=2, ensure_ascii=False)
            self.path.write_text(text + "\n", encoding="utf-8")
            print(f"  {rows[key]}", flush=True)
        row: dict[str, Any] = rows[key]
        return row
