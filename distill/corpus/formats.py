"""One reader a file format: bytes of a file go in, rows (mappings of columns) come out.

A line that is not valid UTF-8 or not valid JSON is counted in the tally and left out; whether there
are too many of them is for the caller to say.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import IO, Any

from distill.recipe.formats import FORMATS

Row = Mapping[str, Any]

_SRT_TIME = re.compile(r"^\d+:\d\d:\d\d[,.]\d+ *-->")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}")
_BOM = "\ufeff"


@dataclass
class Tally:
    """What was met while reading a source."""

    files: int = 0
    lines: int = 0
    rows: int = 0
    invalid_utf8: int = 0
    invalid_json: int = 0
    first_invalid: str | None = None
    """File and line of the first line that could not be read."""
    location: str = field(default="", repr=False)

    def invalid(self, kind: str, line: int) -> None:
        """Count one unreadable line of `kind` (utf8 or json)."""
        setattr(self, f"invalid_{kind}", getattr(self, f"invalid_{kind}") + 1)
        self.first_invalid = self.first_invalid or f"{self.location}, line {line}"


def read_lines(file: IO[bytes], tally: Tally) -> Iterator[tuple[int, str]]:
    """The valid UTF-8 lines of `file`, without their ends, each with its number from 1."""
    # Mapped, so that a line's bytes do not stay in memory beside its text.
    for number, line in enumerate(map(_decoded, file), start=1):
        tally.lines += 1
        if line is None:
            tally.invalid("utf8", number)
        else:
            yield number, line.removeprefix(_BOM) if number == 1 else line


def _decoded(raw: bytes) -> str | None:
    """A line without its end; None if it is not valid UTF-8."""
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return None


def read_txt(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """A row a line, as `datasets` reads text."""
    for _, line in read_lines(file, tally):
        if line and not line.isspace():
            yield {"text": line}


def read_jsonl(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """A row a line: JSON objects."""
    for number, line in read_lines(file, tally):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield row
        else:
            tally.invalid("json", number)


def read_csv(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """A row a line, or several where a quoted cell has some; the first line names the columns."""
    return _read_delimited(file, tally, delimiter=",")


def read_tsv(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """A row a line, cells between tabs; a quotation mark is one (IANA,
    text/tab-separated-values).
    """
    return _read_delimited(file, tally, delimiter="\t", quoting=csv.QUOTE_NONE)


def _read_delimited(file: IO[bytes], tally: Tally, **dialect: Any) -> Iterator[Row]:
    """Raises csv.Error with the line where a row begins that is not delimited text: a quotation
    mark that is never closed would take in the rest of the file.
    """
    csv.field_size_limit(2**31 - 1)  # the whole file, if need be: its default is 131,072 characters
    reader = csv.reader(
        (line + "\n" for _, line in read_lines(file, tally)), strict=True, **dialect
    )
    columns: list[str] | None = None
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(f"the row that begins in line {begins}: {error}") from error
        if not cells:
            continue
        if columns is None:
            columns = [name.strip() for name in cells]  # as the recipe's are
        else:
            # Cells too many have no name; cells too few are empty.
            yield dict(zip_longest(columns, cells[: len(columns)]))


def read_parquet(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """The rows of a parquet file, a batch in memory at a time; a column is decoded when a row is
    asked for it.
    """
    import pyarrow.parquet as parquet

    for batch in parquet.ParquetFile(file).iter_batches(batch_size=1024):
        tally.lines += batch.num_rows
        columns = _Columns(batch)
        for number in range(batch.num_rows):
            yield _ParquetRow(columns, number)


class _Columns:
    """The columns of a batch of rows, each decoded once at most."""

    def __init__(self, batch: Any) -> None:
        self.names: list[str] = batch.schema.names
        self._batch = batch
        self._decoded: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._decoded:
            self._decoded[name] = self._batch.column(self.names.index(name)).to_pylist()
        return self._decoded[name]


class _ParquetRow(Mapping[str, Any]):
    """One row, whose cells are those of its batch's columns."""

    def __init__(self, columns: _Columns, number: int) -> None:
        self._columns, self._number = columns, number

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns.names:
            raise KeyError(name)
        return self._columns[name][self._number]

    def __contains__(self, name: object) -> bool:  # by name alone: nothing is decoded
        return name in self._columns.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)


def read_srt(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """One row a file: its subtitle entries, a line each, without numbers, times and tags."""
    entries: list[str] = []
    entry: list[str] | None = None  # None between an entry's end and the next time line
    for _, line in read_lines(file, tally):
        if _SRT_TIME.match(line.strip()):
            if (
                entry and entry[-1].isdigit()
            ):  # no blank line stood between: that was this entry's number
                entries[-1] = " ".join(entry[:-1])
            entry = []
            entries.append("")
        elif not line.strip():
            entry = None
        elif entry is not None:
            entry.append(_TAG.sub("", line).strip())
            entries[-1] = " ".join(entry)
    if text := "\n".join(filter(None, entries)):
        yield {"text": text}


def read_conllu(file: IO[bytes], tally: Tally) -> Iterator[Row]:
    """A row a document (`# newdoc`, else the file): its sentences, a line each.

    A sentence is its `# text = ...`, or without one its words, apart unless one says SpaceAfter=No.
    """
    sentences: list[str] = []
    text, words = None, ""
    for line in chain(
        (line for _, line in read_lines(file, tally)), [""]
    ):  # the last sentence may lack its blank line
        if line.startswith("# newdoc") and sentences:
            yield {"text": "\n".join(sentences)}
            sentences = []
        elif line.startswith("# text ="):
            text = line.removeprefix("# text =").strip()
        elif not line.strip():
            if sentence := text or words.strip():
                sentences.append(sentence)
            text, words = None, ""
        elif (columns := line.split("\t"))[0].isdigit() and len(columns) > 1:
            words += columns[1] + ("" if "SpaceAfter=No" in columns[-1] else " ")
    if sentences:
        yield {"text": "\n".join(sentences)}


Reader = Callable[[IO[bytes], Tally], Iterator[Row]]
"""Takes an open file, and the tally that lines are counted in; gives rows."""

READERS: dict[str, Reader] = {
    "txt": read_txt,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "tsv": read_tsv,
    "parquet": read_parquet,
    "srt": read_srt,
    "conllu": read_conllu,
}
"""By the name of a format, which is also the ending of its files."""
SENTENCE_A_LINE = {"srt", "conllu"}
"""Formats whose rows hold one sentence a line, so that lines are not split further."""


def register_format(name: str, reader: Reader, *, sentence_a_line: bool = False) -> None:
    """Let sources hold files that end in `.name`, plain or .gz, read by `reader`."""
    READERS[name] = reader
    if sentence_a_line:
        SENTENCE_A_LINE.add(name)
    if name not in FORMATS:
        FORMATS.append(name)


COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
"""By a file's last ending, how it is compressed, as fsspec calls it."""


def compressed_ending(name: str) -> str | None:
    """The ending that tells how a file is compressed, or None if it is not."""
    return next((ending for ending in COMPRESSIONS if name.lower().endswith(ending)), None)


def format_of(name: str) -> str | None:
    """The format that a file's name tells, or None."""
    plain = name.lower().removesuffix(compressed_ending(name) or "")
    ending = plain.rsplit(".", 1)[-1]
    return {"json": "jsonl", "ndjson": "jsonl", "text": "txt", "conll": "conllu"}.get(
        ending, ending if ending in READERS else None
    )
