"""What an earlier evaluation measured, taken over where model, task and setting are the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from distill.evaluation.finished import MEASURED, line_of, read_entries
from distill.runtime.files import write_whole

KEYS = "keys.json"
"""What the measurements of a folder depend on."""
SCRATCH = "scratch"
"""The folder of the model that is trained without a teacher, and its key."""


def key_of(model: str, task: str) -> str:
    """What the measurements of a model on a task are kept under."""
    return f"{model}\t{task}"


def take_over(
    previous: Path | None, output: Path, keys: Mapping[str, str], *, is_whole: bool = True
) -> None:
    """Copy into `output` what `previous` holds under the same keys, unless `output` has begun.

    `keys` are hashes of everything that a measurement depends on, by `key_of`, and that of the
    model trained from scratch under SCRATCH. They are noted in `output`. Of a folder that is not
    whole the measurements are taken alone, each of which says whether it is.
    """
    if not (output / KEYS).is_file():
        before = _read_keys(previous)
        kept = {name for name, key in keys.items() if before.get(name) == key}
        if previous is not None and kept:
            write_whole(output / MEASURED, "".join(_lines(previous / MEASURED, kept)))
            if is_whole and SCRATCH in kept and (previous / SCRATCH).is_dir():
                shutil.copytree(previous / SCRATCH, output / SCRATCH, dirs_exist_ok=True)
        write_whole(output / KEYS, json.dumps(keys, indent=1) + "\n")


def _read_keys(folder: Path | None) -> dict[str, str]:
    try:
        content = json.loads(((folder or Path()) / KEYS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if folder is not None and isinstance(content, dict) else {}


def _lines(measured: Path, kept: set[str]) -> list[str]:
    """The lines of the measurements that are kept; a task in several languages has many."""
    return [
        line_of(entry)
        for entry in read_entries(measured)
        if key_of(entry["model"], entry["task"].partition(" from ")[0]) in kept
    ]
