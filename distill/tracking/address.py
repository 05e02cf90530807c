"""Where runs are tracked: the environment goes in; the store's address comes out."""

from __future__ import annotations

import os
import re
from pathlib import Path

TRACKING_URI = "MLFLOW_TRACKING_URI"
"""The variable that names another store."""
DEFAULT_STORE = Path("mlruns")
DEFAULT_URI = f"sqlite:///{DEFAULT_STORE / 'mlflow.db'}"


def tracking_uri() -> str:
    """$MLFLOW_TRACKING_URI, else the project's own SQLite store."""
    return os.environ.get(TRACKING_URI) or DEFAULT_URI


def is_server(uri: str) -> bool:
    """Whether a server answers there, which may go away."""
    return uri.startswith(("http://", "https://"))


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store; None of another."""
    match = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", uri)
    return Path(match[1]) if match else None


def absolute(uri: str) -> str:
    """The address of a SQLite store from the root: MLflow keeps connections by address, and a
    working folder that changed would not change them. Other addresses stay as they are.
    """
    file = sqlite_file(uri)
    return uri if file is None else uri.replace(str(file), str(file.absolute()), 1)


def is_writable(file: Path) -> bool:
    """Whether a file can be written, or made in the nearest folder that there is."""
    nearest = next(path for path in (file, *file.absolute().parents) if path.exists())
    beside = file.parent if nearest == file else nearest  # SQLite writes a journal beside it
    return os.access(nearest, os.W_OK) and os.access(beside, os.W_OK)
