"""Whether the packages of the `openvino` extra are installed."""

from __future__ import annotations

from distill.runtime.extras import check_extra


def check_openvino(key: str) -> None:
    """Check that OpenVINO and NNCF are installed. Raises UserError, of the recipe's `key`."""
    check_extra("openvino", "OpenVINO was asked for", key)
