"""Well-known encoders by their configuration alone, so that size and latency can be compared where
weights cannot be had.

Each is a JSON file in configs/: what the model's own config.json says of its shape, the page it is
on ("source"), where the vocabulary's size is from if not from there ("vocab_size_source"), and the
keys whose values are not known for certain ("unknown", left out of the file).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_FOLDER = Path(__file__).parent / "configs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A model of known shape."""

    config: PretrainedConfig
    source: str
    """The page that describes it."""
    unknown: tuple[str, ...]
    """Keys of its configuration that the stock default stands in for."""


def baseline_names() -> list[str]:
    """The Hub ids whose configuration comes with the package."""
    return sorted(path.stem.replace("--", "/") for path in _FOLDER.glob("*.json"))


def find_baseline(model: str) -> Baseline | None:
    """The baseline of that Hub id, in whatever case it is written, or None."""
    from transformers import AutoConfig

    name = next((name for name in baseline_names() if name.lower() == model.lower()), None)
    if name is None:
        return None
    content = json.loads((_FOLDER / f"{name.replace('/', '--')}.json").read_text(encoding="utf-8"))
    source, unknown = content.pop("source"), tuple(content.pop("unknown", ()))
    content.pop("vocab_size_source", None)
    return Baseline(config=AutoConfig.for_model(**content), source=source, unknown=unknown)
