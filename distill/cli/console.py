"""What the command line prints on, and what it says after a signal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from distill.runtime.errors import Interrupted

OUT = Console(highlight=False)
"""Results."""
ERR = Console(stderr=True, highlight=False)
"""Mistakes and interruptions."""


@contextmanager
def report_interrupt(*, quiet: bool = False) -> Iterator[None]:
    """Leave with code 1 after a signal, and print the command that continues."""
    try:
        yield
    except Interrupted:
        if not quiet:
            command = escape("python -m distill " + shlex.join(sys.argv[1:]))
            ERR.print(
                f"Interrupted; what is done is kept. The same command goes on: {command}",
                soft_wrap=True,
            )
        raise typer.Exit(1) from None
