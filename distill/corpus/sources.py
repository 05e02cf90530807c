"""A recipe's source goes in; its rows come out one by one, whether from the Hub, from files or from
a package.

Every way in which a source can be wrong (missing, empty, unreadable, without the column) leaves
here as a UserError.
"""

from __future__ import annotations

import fnmatch
import io
import math
import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, islice
from pathlib import Path
from typing import Any

from distill.corpus.formats import (
    COMPRESSIONS,
    READERS,
    SENTENCE_A_LINE,
    Row,
    Tally,
    compressed_ending,
    format_of,
)
from distill.recipe import Source
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes
from distill.runtime.hub import hub_obstacle, hub_or_cache

LOOK_AHEAD = 100
"""Rows that are looked at for their columns before the first is given: any may lack some."""
MAX_INVALID_SHARE = 0.01
"""A source with a larger share of unreadable lines is an error: its encoding or format is another
than was said.
"""


class UnreachableSourceError(UserError):
    """The rows of a Hub dataset cannot be had from here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One row of a source, and where it came from."""

    row: Row
    origin: str
    """A name for the row that is the same on every machine."""
    group: str
    """Rows of one group belong together; a split keeps them on one side."""
    sentence_a_line: bool
    columns: Set[str] = frozenset()
    """The columns that rows of the source have had so far, those of its first rows at least."""


def list_files(source: Source) -> list[str]:
    """Addresses of the files that a `path` or `package` source names, sorted. Raises UserError if
    there are none.
    """
    if source.package:
        return _package_files(source)
    import fsspec

    address = source.filled_path
    try:
        filesystem, root = fsspec.core.url_to_fs(address)
        # A file whose own name has a bracket or a question mark is that file, not a pattern.
        matches = (
            [root]
            if filesystem.isfile(root)
            else sorted(str(path) for path in filesystem.glob(root))
        )
        files = [
            filesystem.unstrip_protocol(path) if "://" in address else path
            for path in matches
            if filesystem.isfile(path)
        ]
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"source {source.location}: cannot be listed ({_first_line(error)})."
        ) from error
    if files:
        return files
    if matches and filesystem.isdir(matches[0]):
        raise UserError(
            f"source {source.location}: this is a folder; name its files, such as "
            f"{source.path}/*.txt."
        )
    raise UserError(f"source {source.location}: there is no such file.")


def source_obstacle(source: Source) -> str | None:
    """Why a dataset of the Hub cannot be had from here, in a sentence; None if it can, or is in the
    cache.
    """
    if not source.hub or (obstacle := hub_obstacle()) is None or _is_cached(source.hub):
        return None
    return f"source {source.location}: {obstacle}, and the cache of datasets does not have it."


def describe_source(source: Source, hashes: FileHashes) -> dict[str, object]:
    """What identifies a source's content, wherever it lies: for fingerprints.

    Local files are known by their hashes; files elsewhere by address, size and time.
    """
    if source.hub:
        return {
            "hub": source.hub,
            "config": source.config,
            "split": source.split,
            "revision": source.revision,
        }
    if source.package:
        return {
            "package": source.package,
            "version": _package_version(source),
            "files": source.files,
        }
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    described: list[list[object]] = []
    for address in list_files(source):
        filesystem, path = fsspec.core.url_to_fs(address)
        if isinstance(filesystem, LocalFileSystem):
            described.append([Path(path).name, Path(path)])
            continue
        info = filesystem.info(path)
        changed = str(info.get("mtime") or info.get("ETag") or "")
        described.append([address, info.get("size"), changed])
    local = [entry for entry in described if isinstance(entry[1], Path)]
    read = hashes.of_files(Path(str(entry[1])) for entry in local)
    for entry, content in zip(local, read, strict=True):
        entry[1] = content
    return {"files": described}


def read_source(source: Source, tally: Tally) -> Iterator[Record]:
    """The source's rows in order. Raises UserError if it is empty, unreadable or mostly invalid."""
    read = _read_hub if source.hub else _read_files
    records = read(source, tally, set())
    for record in chain(list(islice(records, LOOK_AHEAD)), records):
        tally.rows += 1
        yield record
    invalid = tally.invalid_utf8 + tally.invalid_json
    if invalid > MAX_INVALID_SHARE * tally.lines:
        kind = "valid UTF-8" if tally.invalid_utf8 >= tally.invalid_json else "JSON objects"
        raise UserError(
            f"source {source.location}: {invalid} of {tally.lines} lines are not {kind} (first: "
            f"{tally.first_invalid}), "
            f"more than {MAX_INVALID_SHARE:.0%}; convert the files or name their format."
        )
    if not tally.rows:
        raise UserError(f"source {source.location}: it is empty.")


def cell(record: Record, column: str, source: Source) -> Any:
    """The value in `column` of a row, or in a nested one (`translation.sv`); None where this row
    lacks it.

    Raises UserError if no row of the source has such a column, or its values cannot be decoded.
    """
    is_known = column in record.row or column in record.columns
    top, *nested = [column] if is_known else column.split(".")
    if not is_known and top not in record.row and top not in record.columns:
        columns = ", ".join(sorted(map(str, {*record.columns, *record.row}))) or "none"
        raise UserError(
            f"source {source.location}: there is no column {column!r} in {record.origin}; its "
            f"columns: {columns}."
        )
    try:
        value = record.row.get(top)
    except Exception as error:  # whatever a decoder raises is about what it was given
        raise UserError(
            f"source {source.location}: column {column!r} of {record.origin} cannot be decoded "
            f"({_first_line(error)})."
        ) from error
    for name in nested:
        if value is not None and not isinstance(value, Mapping):
            raise UserError(
                f"source {source.location}: {top!r} has no columns in it in {record.origin}, so "
                f"there is no {column!r}."
            )
        value = None if value is None else value.get(name)
    return None if isinstance(value, float) and math.isnan(value) else value


def column_value(record: Record, column: str, source: Source) -> str:
    """The text in `column` of a row: a number as its digits, a missing value as "".

    Raises UserError if there is no such column, or it holds something else.
    """
    value = cell(record, column, source)
    if value is None:
        return ""
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    raise UserError(
        f"source {source.location}: column {column!r} holds {type(value).__name__} in "
        f"{record.origin}, not text."
    )


def _read_files(source: Source, tally: Tally, columns: set[str]) -> Iterator[Record]:
    import fsspec

    for address in list_files(source):
        name = address.rsplit("/", 1)[-1]
        form = source.format or format_of(name)
        if form is None:
            raise UserError(
                f"source {source.location}: the name {name} does not tell its format; say format: "
                f"{', '.join(READERS)}."
            )
        tally.files += 1
        tally.location = name
        ending = compressed_ending(name)
        compression = COMPRESSIONS[ending] if ending else None
        try:
            with fsspec.open(address, "rb", compression=compression) as opened:
                # Zstandard's reader has no lines.
                file = io.BufferedReader(opened) if ending == ".zst" else opened
                for number, row in enumerate(READERS[form](file, tally)):
                    origin = f"{name}, row {number + 1}"
                    # A film has one file of speech and one of intertitles, both under the film's
                    # name: the file's name is its group where the whole file is one document.
                    group = name if form in SENTENCE_A_LINE else f"{name}#{number}"
                    columns.update(row)
                    yield Record(
                        row=row,
                        origin=origin,
                        group=group,
                        sentence_a_line=form in SENTENCE_A_LINE,
                        columns=columns,
                    )
        except UserError:
            raise
        except Exception as error:  # whatever a reader raises is about what it was given
            raise UserError(
                f"source {source.location}: {name} cannot be read as {form} ({_first_line(error)})."
            ) from error


def _read_hub(source: Source, tally: Tally, columns: set[str]) -> Iterator[Record]:
    assert source.hub is not None
    if (sentence := source_obstacle(source)) is not None:
        raise UnreachableSourceError(sentence)  # before a library is loaded for it
    import datasets

    try:
        with hub_or_cache() as obstacle:
            rows = datasets.load_dataset(
                source.hub,
                source.config,
                split=source.split,
                revision=source.revision,
                streaming=True,
            )
        for number, row in enumerate(rows):
            tally.lines += 1
            origin = f"{source.hub}, row {number + 1}"
            columns.update(row)
            yield Record(
                row=dict(row),
                origin=origin,
                group=f"{source.hub}#{number}",
                sentence_a_line=False,
                columns=columns,
            )
    except Exception as error:  # whatever the library raises is about what it was asked for
        if obstacle is not None:
            raise UnreachableSourceError(
                f"source {source.location}: {obstacle}, and the cache of datasets lacks some of it."
            ) from error
        raise UserError(
            f"source {source.location}: the Hub dataset cannot be read ({_first_line(error)})."
        ) from error


def _is_cached(dataset: str) -> bool:
    """Whether the cache of `datasets` has a folder for a Hub dataset."""
    from huggingface_hub import constants

    cache = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
    return (Path(cache) / dataset.replace("/", "___")).is_dir()  # so the library names it


def _package_version(source: Source) -> str:
    try:
        return metadata.version(str(source.package))
    except metadata.PackageNotFoundError:
        raise UserError(
            f"source {source.location}: the Python package {source.package} is not installed; pip "
            f"install {source.package}."
        ) from None


def _package_files(source: Source) -> list[str]:
    _package_version(source)
    recorded = metadata.files(str(source.package)) or []
    matching = [file for file in recorded if _matches(file.as_posix(), str(source.files))]
    if not matching:
        raise UserError(f"source {source.location}: no file of the installed package matches.")
    return sorted(str(file.locate()) for file in matching)


def _matches(path: str, pattern: str) -> bool:
    """Whether `path` matches the glob; `**/` stands for any folders, none among them."""
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(
        path, pattern.replace("**/", "")
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
