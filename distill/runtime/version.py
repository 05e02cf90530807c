"""The package's version, which the build reads here, and the commit that runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__version__ = "0.2.0"


@cache
def commit() -> str | None:
    """The commit of the checkout that this code runs from, in short, marked where files were
    changed since; None of an installed package.
    """
    import subprocess

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not some other repository
        return git("describe", "--always", "--dirty", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
