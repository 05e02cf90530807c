"""Whatever becomes of MLflow's store, the run ends in its result, soon, and without tracebacks."""

from __future__ import annotations

import http.server
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.trust.mini import Mini, is_root
from tests.trust.test_kills import fresh

__all__ = ["fresh"]

MOST_SECONDS = 120
"""A run takes six seconds on a machine that does nothing else; a store costs it no minutes."""


def ends_well(place: Mini, finished: Mini, **environment: str) -> str:
    """What the run says on the way to its result."""
    started = time.monotonic()
    done = place.distill(**environment)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < MOST_SECONDS
    for noise in ("Traceback", "sqlalche.me", "sqlalchemy", "Retry("):
        assert noise not in done.stderr, done.stderr
    assert place.weights() == finished.weights()
    return done.stderr


def store(place: Mini) -> Path:
    return place.folder / "mlruns" / "mlflow.db"


@contextmanager
def locked(place: Mini) -> Iterator[None]:
    """Another process is in the middle of a write."""
    holder = sqlite3.connect(store(place))
    try:
        holder.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        holder.rollback()
        holder.close()


def test_a_locked_store_is_written_to_by_the_next_run(fresh: Mini, finished: Mini) -> None:
    before = len(fresh.tracked())
    with locked(fresh):
        assert "going on without it" in ends_well(fresh, finished)
    done = fresh.distill()
    assert "is back, and has what was kept" in done.stderr
    assert fresh.tracked()[before:] == ["FINISHED"]


def _text(path: Path) -> None:
    path.write_text("this is no database " * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 997):
        content[place] ^= 1
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path) -> None:
    shutil.rmtree(path.parent)


def _file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("a file where a folder should be")


def _old(path: Path) -> None:
    """As another version of MLflow would have it."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def _without_tables(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE metrics")
        database.execute("DROP TABLE latest_metrics")


DAMAGES = [_text, _empty, _cut, _flip, _folder, _gone, _file, _old, _without_tables]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_store_that_is_damaged_decides_over_no_run(
    fresh: Mini, finished: Mini, damage: Callable[[Path], None]
) -> None:
    damage(store(fresh))
    ends_well(fresh, finished)


@pytest.mark.parametrize("damage", [_text, _empty, _gone], ids=["overwritten", "emptied", "gone"])
def test_a_store_that_is_damaged_during_a_run_decides_over_no_run(
    fresh: Mini, finished: Mini, damage: Callable[[Path], None]
) -> None:
    process = fresh.start()
    while not (fresh.run_folder / ".distillation.partial").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    damage(store(fresh))
    _, told = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == 0, told
    assert "Traceback" not in told and "sqlalche.me" not in told
    assert fresh.weights() == finished.weights()


@pytest.mark.skipif(is_root(), reason="root may write whatever its permissions say")
def test_a_store_that_may_only_be_read_decides_over_no_run(fresh: Mini, finished: Mini) -> None:
    store(fresh).chmod(0o444)
    store(fresh).parent.chmod(0o555)
    try:
        assert "going on without it" in ends_well(fresh, finished)
    finally:
        store(fresh).parent.chmod(0o755)


@contextmanager
def server(status: int, body: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that has one answer to everything; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(pause)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}"
    finally:
        served.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>a login page</html>"),
        (200, b'{"experiment": 3}'),
        (302, b""),
        (401, b"no"),
        (404, b"{}"),
        (500, b"\xff"),
        (503, b""),
    ],
    ids=lambda value: str(value),
)
def test_a_server_that_answers_nonsense_decides_over_no_run(
    fresh: Mini, finished: Mini, status: int, body: bytes
) -> None:
    with server(status, body) as address:
        ends_well(fresh, finished, MLFLOW_TRACKING_URI=address)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9",
        "http://no-such-host.invalid",
        "https://127.0.0.1:9/with/a/path",
        "nosuch://x",
        "sqlite:////proc/nowhere/mlflow.db",
        "postgresql://u:p@127.0.0.1:9/x",
        "http://[::bad",
        "databricks",
    ],
)
def test_an_address_where_no_store_is_decides_over_no_run(
    fresh: Mini, finished: Mini, address: str
) -> None:
    ends_well(fresh, finished, MLFLOW_TRACKING_URI=address)
