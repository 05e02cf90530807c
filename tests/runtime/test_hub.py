from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants

from distill.pipeline.dry_run import licence_in_words
from distill.recipe.reading import load_recipe
from distill.runtime import hub
from distill.runtime.hub import hub_obstacle, hub_or_cache
from tests.trust.mini import distill_in

CLOSED = "http://127.0.0.1:9"


@contextmanager
def answering(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that has one answer, or none, to everything; its address, and what it was asked."""
    asked: list[bytes] = []
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            asked.append(connection.recv(65536))
            if answer is None:
                held.append(connection)
            else:
                connection.sendall(answer)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
    for connection in held:
        connection.close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the Hub have another address, of which nothing is known yet."""

    def at(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(hub._Asked, "address", "")

    return at


def test_a_closed_port_is_told_with_its_address(endpoint: Callable[[str], None]) -> None:
    endpoint(CLOSED)
    told = hub_obstacle()
    assert told is not None and told.startswith(f"the Hub at {CLOSED} cannot be reached from here:")


def test_a_server_that_says_nothing_is_asked_once(
    endpoint: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 0.2)
    with answering(None) as (address, asked):
        endpoint(address)
        assert hub_obstacle() is not None
        assert hub_obstacle() is not None
        assert len(asked) == 1


@pytest.mark.parametrize(("status", "reached"), [(200, True), (404, True), (503, False)])
def test_only_what_stands_before_a_server_says_that_it_is_not_there(
    endpoint: Callable[[str], None], status: int, reached: bool
) -> None:
    with answering(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()) as (address, _):
        endpoint(address)
        assert (hub_obstacle() is None) is reached


def test_the_caches_alone_are_asked_only_within(endpoint: Callable[[str], None]) -> None:
    endpoint(CLOSED)
    with hub_or_cache() as obstacle:
        assert obstacle is not None and constants.is_offline_mode()
    assert not constants.is_offline_mode()


NOISE = ("Retry", "Traceback", "thrown while requesting")
TASK = {
    "name": "x",
    "kind": "classification",
    "train": {"hub": "a/b"},
    "test": {"hub": "a/b", "split": "test"},
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("teacher.model=org/nomodel", 2),
        ("corpus.sources=[{hub: a/b}]", 0),
        (f"evaluation={json.dumps({'models': ['student'], 'tasks': [TASK]})}", 0),
    ],
    ids=["teacher", "text", "task"],
)
def test_a_hub_that_cannot_be_reached_is_told_without_its_clients_retries(
    write_recipe: Callable[..., Path], tmp_path: Path, setting: str, code: int
) -> None:
    done = distill_in(
        tmp_path / "here",
        *("recipe", write_recipe(), "--dry-run", "--set", setting),
        **{"HF_ENDPOINT": CLOSED, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.returncode == code, done.stderr
    told = done.stdout if code == 0 else done.stderr
    assert f"the Hub at {CLOSED} cannot be reached" in told.splitlines()[0], "it is told first"
    assert not [noise for noise in NOISE if noise in done.stderr]


@pytest.mark.parametrize(
    ("teacher", "text", "told"),
    [
        ("mit", "cc-by-sa-4.0", "cc-by-sa-4.0, the strictest of its ingredients"),
        (None, "cc0-1.0", "not settled: that of at least one ingredient was not said "),
        ("gpl-2.0", "cc-by-sa-4.0", "not settled: no licence of an ingredient is allowed"),
    ],
)
def test_a_dry_run_says_which_licence_is_settled_or_why_none_is(
    write_recipe: Callable[..., Path], tmp_path: Path, teacher: str | None, text: str, told: str
) -> None:
    path = write_recipe()
    source = {"path": str(tmp_path / "t.txt"), "licence": text}
    settings = [f"corpus.sources={json.dumps([source])}"]
    if teacher:
        settings.append(f"teacher.licence={teacher}")
    words = licence_in_words(load_recipe(str(path), settings).recipe)
    assert words.startswith(told)
    assert teacher or "teacher.model: not said" in words
