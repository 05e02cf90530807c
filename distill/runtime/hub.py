"""Whether the Hub answers, asked once and briefly: its client asks six times in half a minute, and
says so on stderr.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 3.0
KEPT_SECONDS = 60.0
"""For so long an answer, or the lack of one, is not asked for again."""
_NO_ANSWER = (500, 502, 503, 504)
"""What stands before a server says so of it."""


class _Asked:
    """What was found when, of which address."""

    address = ""
    at = float("-inf")
    obstacle: str | None = None


def hub_obstacle() -> str | None:
    """Why the Hub cannot be reached from here, or None if it answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = constants.ENDPOINT
    if _Asked.address != address or time.monotonic() - _Asked.at > KEPT_SECONDS:
        _Asked.obstacle = _ask(address)
        _Asked.address, _Asked.at = address, time.monotonic()
    return _Asked.obstacle


@contextmanager
def hub_or_cache() -> Iterator[str | None]:
    """Within it, where the Hub does not answer, its libraries take what is in their caches and ask
    nothing; gives why it does not.
    """
    import sys

    from huggingface_hub import constants

    obstacle = hub_obstacle()
    if obstacle is None or constants.HF_HUB_OFFLINE:
        yield obstacle
        return
    loaded = sys.modules.get("datasets.config")
    libraries: list[Any] = [constants, *([loaded] if loaded else [])]
    for library in libraries:
        library.HF_HUB_OFFLINE = True
    try:
        yield obstacle
    finally:
        for library in libraries:
            library.HF_HUB_OFFLINE = False


def _ask(address: str) -> str | None:
    """What keeps an answer from there; none comes later than the patience ends."""
    from distill.runtime.secrets import without_password

    where = f"the Hub at {without_password(address)} cannot be reached from here"
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_answer(address)), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    obstacle = answers[0] if answers else f"no answer within {PATIENCE_SECONDS:.0f} s"
    return None if obstacle is None else f"{where}: {obstacle}"


def _answer(address: str) -> str | None:
    from huggingface_hub import get_session

    try:  # the Hub's own client: it knows of proxies and certificates
        status = get_session().head(address, timeout=PATIENCE_SECONDS).status_code
    except Exception as error:  # the client's, the system's and those of name look-up
        text = str(error).strip()
        return text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return f"it answers {status}" if status in _NO_ANSWER else None
