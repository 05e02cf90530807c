"""The keys of objectives that were registered besides those that every recipe knows."""

from __future__ import annotations

_REGISTERED: dict[str, bool] = {}


def register_key(key: str, *, masked: bool) -> None:
    """Let `distillation.objectives` hold `key`; `masked` says that it predicts masked pieces."""
    _REGISTERED[key] = masked


def is_registered(key: object) -> bool:
    """Whether `key` was registered."""
    return key in _REGISTERED


def predicts_masked(key: str) -> bool:
    """Whether the objective of that key predicts masked pieces."""
    return _REGISTERED.get(key, False)
