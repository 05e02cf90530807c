"""Real processes without cold starts: a server that has its imports done forks each command.

`command(...)` gives what `subprocess` runs instead of `python -m distill ...`: a small client. It
hands its arguments, working folder, environment, standard streams and signals to the server and
ends as the command does. The command is a process of its own in everything but its imports. Where
the environment would have changed an import, the client starts Python afresh.

A test that kills its process, or that is about starting, takes `cold=True`.

`warm_children()` has the processes that distill itself starts, to measure footprints and to prove
exports, forked by the server as well: in a forked command always, in a test's own process unless
the test is marked `cold`.

MLflow's stores are migrated once, and copied.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SENSITIVE = ("HF_", "HUGGING", "MKL_", "MPL", "OMP_", "PYTHON", "TORCH", "TRANSFORMERS_", "LD_")
"""Beginnings of variables that libraries read while they are imported."""
HARMLESS = {"HF_HOME"}
"""Those among them that matter for the Hub alone, which no test reaches."""
ADDRESS = "DISTILL_TESTS_SERVER"
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


def command(
    *arguments: object, environment: dict[str, str], program: Sequence[str] = ("-m", "distill")
) -> list[str]:
    """What a test runs; the server is started by the first call, in that environment.

    `program` is a module or a script, as Python takes it.
    """
    address = server_address(environment)
    client = str(Path(__file__).with_name("fork_client.py"))
    start = [sys.executable, "-S", "-E", client, address, str(len(program)), *program]
    return [*start, *map(str, arguments)]


def server_address(environment: dict[str, str]) -> str:
    """The socket of the server, which is started where there is none."""
    global _server
    if given := os.environ.get(ADDRESS):  # in a command that was forked
        return given
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
        atexit.register(Path(address).with_suffix(".db").unlink, missing_ok=True)
        _server = process, address
    return _server[1]


class WarmSubprocess:
    """Stands in for the module `subprocess` where distill starts Python: the server forks it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(
        self, given: list[str], *, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `[python, -m, module, ...]` or `[python, -P, script, ...]` without a cold start."""
        program, arguments = given[1:3], given[3:]
        assert given[0] == sys.executable and program[0] in ("-m", "-P"), given
        warm = command(*arguments, environment=self.environment, program=program)
        wanted = dict(os.environ if env is None else env)
        others = {key: wanted[key] for key in wanted if key not in sensitive(wanted)}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            warm, env=others | sensitive(self.environment), **options
        )


STARTERS = ("distill.benchmark.process", "distill.export.proof")
"""The modules that start Python."""


def warm_children(environment: dict[str, str]) -> None:
    """Have the server fork what distill starts from this process."""
    for name in STARTERS:
        module = importlib.import_module(name)
        module.subprocess = WarmSubprocess(environment)  # type: ignore[attr-defined]


def serve(address: str, ready: int) -> None:
    """Fork a process for every client."""
    from tests import new_stores  # MLflow is slow to import, and a client needs none

    for name in PRELOADED:
        importlib.import_module(name)
    new_stores.copy_the_first(Path(address).with_suffix(".db"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers end by themselves
    os.write(ready, b"!")
    os.close(ready)
    before = sensitive(os.environ)
    os.environ[ADDRESS] = address
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            keep(client, before)
        client.close()


def sensitive(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that an import depends on."""
    return {
        key: value
        for key, value in environment.items()
        if key.startswith(SENSITIVE) and key not in HARMLESS
    }


def keep(client: socket.socket, before: dict[str, str]) -> None:
    """Run one client's command in a child, and tell the client how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors = receive(client)
    if sensitive(message["environment"]) != before:  # type: ignore[arg-type]
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
    address = os.environ[ADDRESS]
    os.environ.clear()
    os.environ.update(message["environment"])  # type: ignore[arg-type]
    os.environ[ADDRESS] = address
    warm_children(dict(os.environ))
    option, name = message["program"]  # type: ignore[misc]
    sys.argv = [name, *message["arguments"]]  # type: ignore[has-type,misc]
    sys.path[0] = str(message["folder"])
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr)  # type: ignore[union-attr]
    code = 0
    try:
        if option == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
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
