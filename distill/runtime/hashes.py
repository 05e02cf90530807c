"""What files hold, as hashes: a file is read once, and again only after something wrote to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
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


def hash_text(text: str) -> str:
    """The hash of a text, in hexadecimal, by the same function."""
    return blake2b(text.encode(), digest_size=_DIGEST).hexdigest()


class FileHashes:
    """Hashes of files, kept in a JSON file with the stamp that each file had when it was read."""

    def __init__(self, kept: Path | None = None) -> None:
        """`kept` is the JSON file; None keeps nothing."""
        self._kept = kept
        self._known = self._read()

    def forget(self) -> None:
        """Read every file again, whatever its stamp."""
        self._known = {}

    def of(self, path: Path) -> str:
        """The hash of one file. Raises OSError if it cannot be read."""
        return self.of_files([path])[0]

    def of_files(self, paths: Iterable[Path]) -> list[str]:
        """The hash of each file. Raises OSError if one cannot be read."""
        before = dict(self._known)
        hashes = [self._hash(path) for path in paths]
        if self._known != before:
            self._write()
        return hashes

    def of_folder(self, folder: Path, paths: Iterable[Path] | None = None) -> dict[str, str]:
        """By name relative to `folder` the hash of each of its files, or of `paths` among them."""
        files = sorted(path for path in (paths or folder.rglob("*")) if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        return dict(zip(names, self.of_files(files), strict=True))

    def _hash(self, path: Path) -> str:
        address, stamp = str(path.resolve()), _stamp(path)
        known = self._known.get(address)
        if known is None or known[0] != stamp:
            known = self._known[address] = (stamp, hash_file(path))
        return known[1]

    def _read(self) -> dict[str, tuple[Stamp, str]]:
        if self._kept is None:
            return {}
        try:
            content = json.loads(self._kept.read_text(encoding="utf-8"))
            return {
                address: (_as_stamp(stamp), digest) for address, (stamp, digest) in content.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # a file that is damaged costs reading again, nothing else

    def _write(self) -> None:
        if self._kept is not None:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another run was faster; it costs reading again
                write_whole(self._kept, json.dumps(self._known) + "\n")


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _as_stamp(numbers: list[int]) -> Stamp:
    size, modified, changed, inode = numbers
    return size, modified, changed, inode
