"""Where each client is: beside the tests, or in an environment of its own where its requirements
clash with ours.

    python -m tests.clients.environments      makes those environments, inside this one
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent
OWN = {"fastembed": "older_hub", "langchain_huggingface": "older_hub"}
"""The environment of a client, by its module; the others are here."""


def interpreter(environment: str) -> Path:
    """The Python of an environment inside this one."""
    return Path(sys.prefix) / "clients" / environment / "bin" / "python"


def make(environment: str) -> None:
    """Make the environment, or bring it up to date, with what its file of requirements names."""
    python = interpreter(environment)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    required = str(REQUIREMENTS / f"{environment}.txt")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", required], check=True)


def python_with(module: str) -> str:
    """The Python that has a client; without one the test is skipped."""
    if module not in OWN:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: make test-clients")
        return sys.executable
    if not (python := interpreter(OWN[module])).exists():
        pytest.skip(f"{module} has no environment here: python -m tests.clients.environments")
    return str(python)


if __name__ == "__main__":
    for name in sorted(set(OWN.values())):
        make(name)
