"""Text from recipes and corpora into Markdown and code: whatever it holds, it shows as it is and
stays where it is put.
"""

from __future__ import annotations

import json
import re
import shlex

# Bars, because a table sees them before it sees escapes; the others, because the Hub finds formulas
# between $$ and \\( first.
_ESCAPES = {ord(letter): f"\\{letter}" for letter in "`*_{}[]<>#!~"} | {
    ord(letter): f"&#{ord(letter)};" for letter in "&\\$|"
}
_LIST_MARK = re.compile(r"^(\d*)([-+=.)])")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
"""Control characters, and those that turn the direction of what follows."""


def escape_markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _LIST_MARK.sub(r"\1\\\2", one_line(text).translate(_ESCAPES))


def code_span(text: object) -> str:
    """Text as inline code, on one line, fenced by more backticks than it has in a row."""
    line = _UNSEEN.sub(" ", str(text))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    padding = " " if "`" in line or (line[:1] == line[-1:] == " ") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def python_literal(text: str) -> str:
    """A string as Python reads it, in double quotes: JSON's escapes are Python's too as long as
    letters stay themselves.
    """
    return _UNSEEN.sub(
        lambda match: "".join(f"\\u{ord(letter):04x}" for letter in match[0]),
        json.dumps(text, ensure_ascii=False),
    )


def shell_word(text: object) -> str:
    """Text as one word of a shell's command, on one line."""
    return shlex.quote(one_line(text))


def one_line(text: object) -> str:
    """Text without breaks and characters that do not show."""
    return " ".join(_UNSEEN.sub(" ", str(text)).split())
