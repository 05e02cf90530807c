"""Names of metrics, parameters and tags as MLflow takes them."""

from __future__ import annotations


def clean_key(key: str) -> str:
    """The key with the characters that MLflow allows alone."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)
