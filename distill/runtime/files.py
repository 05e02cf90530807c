"""Files that are written whole: at every moment a reader sees the old one or the new one."""

from __future__ import annotations

from pathlib import Path

RECORD = "stage.json"
"""What a stage's folder says of the stage."""
MARK = "fingerprint"
"""What the folder of an unfinished stage says of the work in it."""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is at every moment either the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
