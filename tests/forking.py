"""Real processes without cold starts: a server that has its imports done forks each command.

`command(...)` gives what `subprocess` runs instead of `python -m distill ...`: a small client. It
hands its arguments, working folder, environment, standard streams and signals to the server and
ends as the command does. The command is a process of its own in everything but its imports. Where
the environment would have changed an import, the client starts Python afresh.

A test that kills its process, or that is about starting, takes `cold=True`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SENSITIVE = ("HF_", "HUGGING", "MKL_", "MPL", "OMP_", "PYTHON", "TORCH", "TRANSFORMERS_", "LD_")
"""Beginnings of variables that libraries read while they are imported."""
PRELOADED = (
    "torch",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "transformers.models.xlm_roberta.modeling_xlm_roberta",
    "datasets",
    "mlflow",
    "mlflow.transformers",
    "onnxruntime",
    "sklearn.metrics",
    "scipy.stats",
    "matplotlib.figure",
    "lingua",
    "distill.pipeline.running",
    "distill.vocabulary.select",
    "distill.evaluation.evaluate",
    "distill.distillation.train",
    "distill.export.handover",
    "distill.benchmark.measure",
    "distill.report.page",
)
"""Imported once; `distill.cli` is not: its consoles look at the environment when they are made."""

_server: tuple[subprocess.Popen[bytes], str] | None = None


def command(*arguments: object, environment: dict[str, str]) -> list[str]:
    """What a test runs; the server is started by the first call, in that environment."""
    global _server
    if _server is None or _server[0].poll() is not None:
        address = tempfile.mktemp(prefix="distill-fork-", suffix=".sock")
        ready, written = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", address, str(written)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[written],
        )
        os.close(written)
        os.read(ready, 1)  # or nothing, if it died
        os.close(ready)
        atexit.register(process.kill)
        _server = process, address
    client = str(Path(__file__).with_name("fork_client.py"))
    return [sys.executable, "-S", "-E", client, _server[1], *map(str, arguments)]


def serve(address: str, ready: int) -> None:
    """Fork a process for every client."""
    import importlib

    for name in PRELOADED:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers end by themselves
    os.write(ready, b"!")
    os.close(ready)
    before = {key: os.environ.get(key) for key in os.environ if key.startswith(SENSITIVE)}
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            keep(client, before)
        client.close()


def keep(client: socket.socket, before: dict[str, str | None]) -> None:
    """Run one client's command in a child, and tell the client how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors = receive(client)
    environment = message["environment"]
    after = {key: value for key, value in environment.items() if key.startswith(SENSITIVE)}
    if after != before:
        client.sendall(struct.pack("i", -1000))  # start it afresh
        os._exit(0)
    child = os.fork()
    if child == 0:
        client.close()
        run(message, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    client.sendall(struct.pack("i", child))
    _, status = os.waitpid(child, 0)
    with suppress(OSError):  # the client was killed
        client.sendall(struct.pack("i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def receive(client: socket.socket) -> tuple[dict[str, object], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    (length,) = struct.unpack("q", data)
    parts = b""
    while len(parts) < length:
        parts += client.recv(length - len(parts))
    return json.loads(parts), descriptors


def run(message: dict[str, object], descriptors: list[int]) -> None:
    """Be the command."""
    import runpy

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.setpgid(0, 0)
    os.chdir(str(message["folder"]))
    os.environ.clear()
    os.environ.update(message["environment"])  # type: ignore[arg-type]
    sys.argv = ["distill", *message["arguments"]]  # type: ignore[misc]
    sys.path[0] = str(message["folder"])
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr)  # type: ignore[union-attr]
    code = 0
    try:
        runpy.run_module("distill", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
