"""distill: one small monolingual encoder out of a large multilingual one, from one YAML file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.vocabulary.in_memory import Trimming, trim

from distill.runtime.version import __version__

__all__ = ["Trimming", "__version__", "trim"]


def __getattr__(name: str) -> Any:
    """The library's functions, imported when they are used: importing torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'distill' has no attribute {name!r}")
    from distill.vocabulary import in_memory

    return getattr(in_memory, name)
