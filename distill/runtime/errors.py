"""The two ways a run ends early that are nobody's bug: the user's input is wrong, or somebody asked
it to stop.
"""

from __future__ import annotations

import errno
import re


class UserError(Exception):
    """Something the user can put right; its text says what was found, where, and what would be
    right.

    `key` is the recipe's key that it is about, told in front of the text.
    """

    def __init__(self, text: str, *, key: str | None = None) -> None:
        super().__init__(text if key is None else f"{key}: {text}")
        self.text, self.key = text, key


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; what was done so far is on disk.

    Derives from BaseException so that no `except Exception` on the way out swallows it.
    """


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, or anything it was raised from, says that the device has no space left.

    Rust and SQLite report a full disk in words, without an errno.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        text = str(seen)
        if "No space left on device" in text or "database or disk is full" in text:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


_LONG_WORD = re.compile(r"\S{601,}")


def without_long_words(message: str) -> str:
    """The message with the middle of every run of more than 600 characters left out: a value that
    is no word, such as a file pasted into a recipe.
    """
    return _LONG_WORD.sub(lambda run: f"{run[0][:80]}...{run[0][-40:]}", message)
