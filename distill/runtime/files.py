"""Files that are written whole: at every moment a reader sees the old one or the new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RECORD = "stage.json"
"""What a stage's folder says of the stage."""
MARK = "fingerprint"
"""What the folder of an unfinished stage says of the work in it."""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is at every moment either the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    flush(partial)
    put_in_place(partial, path)
    flush(path.parent)


def put_in_place(partial: Path, path: Path) -> None:
    """Give a whole file its name: it replaces the one that was there, or an empty folder."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):  # what is in it is not ours to remove; replacing says so
            path.rmdir()
    partial.replace(path)


def make_once(folder: Path, fill: Callable[[Path], object]) -> Path:
    """The folder, which `fill` writes when it is first asked for: whole or not there, also where
    several processes make it at once.
    """
    if folder.exists():
        return folder
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        fill(partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster, and its folder is as good
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not in a cache alone.

    Where a file system cannot tell, as for folders on Windows, nothing is waited for.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until all files under a folder, and their names, are on the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        flush(path)
    flush(folder)
