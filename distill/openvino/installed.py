"""Whether the packages of the `openvino` extra are installed."""

from __future__ import annotations

from importlib.util import find_spec

from distill.runtime.errors import UserError

_PACKAGES = ("openvino", "nncf")


def check_openvino(key: str) -> None:
    """Check that OpenVINO and NNCF are installed. Raises UserError, of the recipe's `key`."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise UserError(
            f"OpenVINO was asked for, and {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'distill[openvino]'.",
            key=key,
        )
