"""Words of a text in any script."""

from __future__ import annotations

import re

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai and Lao, Burmese, Khmer, kana and Han, whose words nothing parts: each sign counts as
one.
"""
WORD = rf"[{_SPACELESS}]|[^\W{_SPACELESS}](?:[^\W{_SPACELESS}]|[\u0300-\u036f\u0900-\u0dff])*"
"""A regular expression of one word."""
_PLAIN = r"\w+"
"""The same where no sign is of those scripts, in half the time."""
_OF_THOSE = re.compile(f"[{_SPACELESS}\u0300-\u036f\u0900-\u0dff]")


def find_words(text: str) -> list[str]:
    """The words of a text in order."""
    return re.findall(WORD if _OF_THOSE.search(text) else _PLAIN, text)
