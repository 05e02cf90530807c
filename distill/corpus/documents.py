"""The corpus stage's documents on disk: one JSON object a line, read in order or in batches of
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from distill.corpus.cleaning import split_sentences

BATCH_BYTES = 16_000_000
_LONG = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A cleaned text."""

    id: str
    text: str
    sentence_a_line: bool = False
    source: int = 0
    """Which of the recipe's sources it came from, counted from 0."""
    uncleaned: str | None = None
    """The text before cleaning, where a held-out one differs from it."""
    first: int | None = None
    """How many characters the first of two texts has, between which a newline stands."""

    @property
    def pair(self) -> tuple[str, str] | None:
        """The two texts of a pair."""
        if self.first is None:
            return None
        return self.text[: self.first], self.text[self.first + 1 :]

    @property
    def sentences(self) -> list[str]:
        """The text's sentences in order."""
        return split_sentences(self.text, sentence_a_line=self.sentence_a_line)


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentBatch:
    """The documents of a file whose line starts at a byte from `start` on and before `end`.

    Iterating gives source and text of each; a batch can be sent to another process, which then
    reads it itself.
    """

    path: str
    start: int
    end: int

    def __iter__(self) -> Iterator[tuple[int, str]]:
        with Path(self.path).open("rb") as file:
            position = self.start
            if position:
                file.seek(position - 1)
                position += (
                    len(file.readline()) - 1
                )  # the rest of a line that belongs to the batch before, or its newline
            while position < self.end and (line := file.readline()):
                position += len(line)
                row = json.loads(line)
                yield row.get("source", 0), row["text"]


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a file in order."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Document(**json.loads(line))


def numbered_sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The sentences of a file's documents, each with the number of its source."""
    for document in read_documents(path):
        yield from ((document.source, sentence) for sentence in document.sentences)


def uncleaned_texts(path: Path) -> Iterator[str]:
    """The documents of a file as they were before cleaning; none where cleaning changed none."""
    is_changed = any(document.uncleaned is not None for document in read_documents(path))
    for document in read_documents(path) if is_changed else ():
        yield document.text if document.uncleaned is None else document.uncleaned


def write_row(file: IO[str], row: Mapping[str, object]) -> None:
    """Write a row as a line of JSON; a long one value by value, whose copies would take memory."""
    if any(isinstance(value, str) and len(value) > _LONG for value in row.values()):
        json.dump(row, file, ensure_ascii=False)
    else:
        file.write(json.dumps(row, ensure_ascii=False))
    file.write("\n")


def document_batches(path: Path, size: int = BATCH_BYTES) -> list[DocumentBatch]:
    """A file's documents in batches of about `size` bytes."""
    length = path.stat().st_size
    return [
        DocumentBatch(path=str(path), start=start, end=min(start + size, length))
        for start in range(0, length, size)
    ]
