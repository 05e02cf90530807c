"""One process at a time in a folder: two runs that write to the same place spoil both."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from distill.runtime.errors import UserError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` as long as the block runs; it is made if it is not there.

    The system releases the lock with the process that holds it, however that ends. Raises UserError
    naming the holder where another process has it.
    """
    path = folder / LOCK
    with held(path) as is_ours:
        if not is_ours:
            holder = _holder(path)
            if not holder or _is_alive(holder):
                raise UserError(
                    f"{folder} is in use{_described(holder)}: wait until it ends, or stop it."
                )
        path.write_text(json.dumps(_ourselves()), encoding="utf-8")
        yield


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether this process has the file's lock, which it keeps as long as the block runs; the
    folder is made if it is not there. Released by the system as `locked` is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; nothing is refused there
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _ourselves() -> dict[str, object]:
    process = psutil.Process()
    return {
        "process": process.pid,
        "machine": socket.gethostname(),
        "created": process.create_time(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(path: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def _is_alive(holder: dict[str, object]) -> bool:
    """Whether the process that took the lock is still there: one that it started may have outlived
    it and keep the lock. Of another machine nobody can tell.
    """
    if holder.get("machine") != socket.gethostname():
        return True
    try:
        return psutil.Process(int(str(holder["process"]))).create_time() == holder["created"]
    except (psutil.Error, KeyError, ValueError):
        return False


def _described(holder: dict[str, object]) -> str:
    if not holder:
        return " by another process"
    return f" by process {holder['process']} on {holder['machine']} since {holder['since']}"
