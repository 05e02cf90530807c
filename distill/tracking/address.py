"""Where runs are tracked: the environment goes in; the store's address comes out."""

from __future__ import annotations

import os
import re
from pathlib import Path

DEFAULT_STORE = Path("mlruns")
DEFAULT_URI = f"sqlite:///{DEFAULT_STORE / 'mlflow.db'}"


def tracking_uri() -> str:
    """$MLFLOW_TRACKING_URI, else the project's own SQLite store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def is_server(uri: str) -> bool:
    """Whether a server answers there, which may go away."""
    return uri.startswith(("http://", "https://"))


def without_password(text: str) -> str:
    """The text with what stands before the @ of an address left out."""
    return re.sub(r"://[^/@\s]+@", "://", text)
