"""Secrets in addresses: what is told, written or tracked is told without them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_USER = re.compile(r"://[^/\s]+@")
"""To the last @ before the path: a password may have one."""
_SECRET = re.compile(
    r"([?&;][^=&\s]*(?:token|key|passw|secret|sig|credential)[^=&\s]*=)[^&\s\"']+", re.IGNORECASE
)


def without_password(text: str) -> str:
    """The text without what an address says before its @, and with a dash for each secret in its
    query.
    """
    return _SECRET.sub(r"\1-", _USER.sub("://", text))


def without_passwords(value: Any) -> Any:
    """Nested mappings and lists, each text in them `without_password`."""
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, Mapping):
        return {key: without_passwords(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_passwords(item) for item in value]
    return value
