"""`python -m tests.trust.full_disk FOLDER KILOBYTES recipe ...` runs distill twice in a folder that
is a disk of its own: with so much room, and once more with plenty.

Prints a line of JSON with what each run ended in, and leaves a copy of the disk in FOLDER.after.
Exits with 77 where nothing can be mounted.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.forking import STARTERS

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000


def mount(folder: str, kilobytes: int, *options: str) -> None:
    """A file system of that size there, which this process and its children alone see."""
    size = ",".join([f"size={kilobytes}k", *options])
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)


def leave() -> None:
    """Part with the mounts of other processes. Raises OSError where that is not allowed."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    else:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def run(arguments: list[str], folder: str) -> dict[str, object]:
    """How `distill ...` ends there, in a process of its own."""
    errors = Path(f"{folder}.stderr")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            for number in (1, 2):
                os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.argv = ["distill", *arguments]
            for name in STARTERS:  # the server that forks for others does not see the disk
                importlib.import_module(name).subprocess = subprocess
            from distill.cli import main

            main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "stderr": errors.read_text()}


if __name__ == "__main__":
    folder, kilobytes, *arguments = sys.argv[1:]
    given = Path(folder).with_suffix(".given")
    try:
        leave()
        mount(folder, int(kilobytes))
    except (OSError, subprocess.CalledProcessError):
        sys.exit(77)
    shutil.copytree(given, folder, dirs_exist_ok=True)
    ends = [run(arguments, folder)]
    mount(folder, 1_000_000, "remount")
    ends.append(run(arguments, folder))
    shutil.copytree(folder, f"{folder}.after")
    print(json.dumps(ends))
