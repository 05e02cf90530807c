"""Words of a text in any script."""

from __future__ import annotations

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai and Lao, Burmese, Khmer, kana and Han, whose words nothing parts: each sign counts as
one.
"""
WORD = rf"[{_SPACELESS}]|[^\W{_SPACELESS}](?:[^\W{_SPACELESS}]|[\u0300-\u036f\u0900-\u0dff])*"
"""A regular expression of one word."""
