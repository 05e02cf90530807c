"""What a result says of itself."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
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


def measure_to_file(
    description: str | None, settings: dict[str, Any], measure: Callable[[], list[dict[str, Any]]]
) -> None:
    """A script's command line: measure, and write the results with where they come from."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    results = measure()
    seconds = round(time.monotonic() - started)
    content = {**provenance(settings), "seconds": seconds, "results": results}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    arguments.output.write_text(text + "\n", encoding="utf-8")
