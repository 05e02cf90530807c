"""What files hold, as hashes: a file is read once, and again only after something wrote to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from distill.runtime.files import write_whole

_BLOCK = 1 << 20
"""Bytes that are read at a time."""
_DIGEST = 16
"""Bytes of a hash: two different files share one with a probability below 2^-64."""

Stamp = tuple[int, int, int, int]
"""Size, modification time, change time (both in nanoseconds) and inode.

The change time is the kernel's: a program that sets the modification time back cannot set it.
"""


def hash_file(path: Path) -> str:
    """The hash of the file's content, in hexadecimal (BLAKE2b, RFC 7693)."""
    digest = blake2b(digest_size=_DIGEST)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class FileHashes:
    """Hashes of files, kept in a JSON file with the stamp that each file had when it was read."""

    def __init__(self, kept: Path | None = None, *, trust: bool = True) -> None:
        """`kept` is the JSON file, None keeps nothing; without `trust` every file is read again."""
        self._kept = kept
        self._known: dict[str, tuple[Stamp, str]] = self._read() if trust else {}

    def of(self, path: Path) -> str:
        """The hash of one file. Raises OSError if it cannot be read."""
        address, stamp = str(path.resolve()), _stamp(path)
        if (known := self._known.get(address)) is not None and known[0] == stamp:
            return known[1]
        found = hash_file(path)
        self._known[address] = (stamp, found)
        self._write()
        return found

    def of_folder(self, folder: Path, paths: Iterable[Path] | None = None) -> dict[str, str]:
        """By name relative to `folder` the hash of each of its files, or of `paths` among them."""
        files = sorted(path for path in (paths or folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): self.of(path) for path in files}

    def _read(self) -> dict[str, tuple[Stamp, str]]:
        if self._kept is None:
            return {}
        try:
            content = json.loads(self._kept.read_text(encoding="utf-8"))
            return {
                address: (_as_stamp(stamp), found) for address, (stamp, found) in content.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # a file that is damaged costs reading again, nothing else

    def _write(self) -> None:
        if self._kept is not None:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._kept, json.dumps(self._known) + "\n")


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _as_stamp(numbers: list[int]) -> Stamp:
    size, modified, changed, inode = numbers
    return size, modified, changed, inode
