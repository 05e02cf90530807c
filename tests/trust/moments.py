"""`python -m tests.trust.moments ...` is `python -m distill ...` that dies at a chosen moment.

The variable `TRUST_MOMENT` says when, as JSON: `{"event": 17}` at the 17th time that something is
about to be written, renamed or removed under the working folder; `{"site": "rename export"}` at the
first such event of that name, `"last": true` at the last one; `"after": true` at the event after
it; `{"seconds": 1.5}` by the clock. `{"record": "file"}` writes the names of all events, one a
line, and dies of nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

MOMENT = "TRUST_MOMENT"
Moment = Mapping[str, object]
_WRITING = os.O_WRONLY | os.O_RDWR
_PASSING = re.compile(r"(?<![a-z])[0-9a-f]{32}|(?<=\.)\d+(?=\.partial|$)|tracking-\w+")
"""Parts of names that differ from run to run."""


def name_of(event: str, arguments: tuple[object, ...], here: str) -> str | None:
    """What an audit event does to which file under `here`; None if it changes nothing there."""
    verb = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "make", "os.rmdir": "remove"}
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & _WRITING):
            return None
        verb["open"] = "write"
    elif event not in verb:
        return None
    paths = arguments[:2] if event == "os.rename" else arguments[:1]
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        return None
    path = os.path.abspath(os.fspath(paths[-1]))  # type: ignore[arg-type] # noqa: PTH100
    if not path.startswith(here + os.sep):
        return None
    return f"{verb[event]} {_PASSING.sub('*', path[len(here) + 1 :])}"


def watch(act: Callable[[int, str], None]) -> None:
    """Call `act` with the number and the name of every event under the working folder, before it
    happens.
    """
    here, count = str(Path.cwd()), 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if name := name_of(event, arguments, here):
            count += 1
            act(count, name)

    sys.addaudithook(hook)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(moment: Moment) -> None:
    """Let this process die at the moment."""
    if file := moment.get("record"):
        descriptor = os.open(str(file), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        watch(lambda number, name: os.write(descriptor, f"{name}\n".encode()) and None)
    elif seconds := moment.get("seconds"):
        timer = threading.Timer(float(str(seconds)), die)
        timer.daemon = True
        timer.start()
    else:
        watch(_killer(moment))


def _killer(moment: Moment) -> Callable[[int, str], None]:
    reached, nth, seen = False, int(str(moment.get("nth", 1))), 0

    def act(number: int, name: str) -> None:
        nonlocal reached, seen
        if reached:
            die()
        if number == moment.get("event"):
            die()
        if name == moment.get("site"):
            seen += 1
            if seen == nth:
                reached = True
                if not moment.get("after"):
                    die()

    return act


if __name__ == "__main__":
    arrange(json.loads(os.environ[MOMENT]))
    from distill.cli import main

    main()
