"""Packages that only some commands need: what is said where one of them is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from distill.runtime.errors import UserError

EXTRAS = {"inspect": ("umap",), "mlflow": ("mlflow",), "openvino": ("openvino", "nncf")}
"""The modules of each extra."""
NEEDS_MAPS = "the look inside draws maps of layers"
"""What needs the extra `inspect`."""


def check_extra(extra: str, asked: str, key: str | None = None) -> None:
    """Check that the packages of an extra are installed. Raises UserError, of the recipe's `key`;
    `asked` says what needs them, such as "OpenVINO was asked for".
    """
    if missing := missing_modules(EXTRAS[extra]):
        raise UserError(
            f"{asked}, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
            f"installed: pip install 'distill[{extra}]'.",
            key=key,
        )


def missing_modules(names: Sequence[str]) -> list[str]:
    """Those that cannot be imported."""
    return [name for name in names if find_spec(name) is None]
