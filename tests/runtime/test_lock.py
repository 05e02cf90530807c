from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from distill.runtime.errors import UserError
from distill.runtime.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from distill.runtime.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_process_holds_is_refused_with_its_name(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        named = rf"is in use by process {holder.pid} on {socket.gethostname()} since 20.*: wait"
        with pytest.raises(UserError, match=named), locked(tmp_path):
            raise AssertionError("two processes in one folder")
    finally:
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()


def test_a_lock_is_released_when_the_block_ends(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "new"):
            pass


def test_a_lock_whose_holder_died_is_taken_over(tmp_path):
    with locked(tmp_path):
        # As where a process that the holder had started keeps the lock.
        (tmp_path / LOCK).write_text(
            json.dumps({"process": 2**22 + 1, "machine": socket.gethostname(), "created": 1.0})
        )
        with locked(tmp_path):
            pass
