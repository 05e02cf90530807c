"""What a result says of itself."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from typing import Any

from distill import __version__


def commit() -> str:
    """The commit that is checked out, in short."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def provenance(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Commit, version, machine, and settings where there are any."""
    from distill.benchmark.machine import describe_machine

    about = {"commit": commit(), "version": __version__, "machine": asdict(describe_machine())}
    return about if settings is None else {**about, "settings": settings}
