"""Text in any encoding, format and state: every document of it, or a sentence that says why not."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import swedish_sentences
from tests.trust.mini import NO_STORE, Mini, distill_in, is_told

GOOD = [" ".join(swedish_sentences(2, seed)) for seed in range(60)]
PLAIN = "\n".join(GOOD) + "\n"
ROWS = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in GOOD)


def parquet(column: object, name: str = "text") -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({name: column}), sink)
    return sink.getvalue()


def table(rows: list[list[str]], **options: str) -> bytes:
    file = io.StringIO()
    csv.writer(file, **options).writerows(rows)  # type: ignore[arg-type]
    return file.getvalue().encode()


def rows(*more: str) -> bytes:
    """Good rows with more between them."""
    lines = ROWS.splitlines(keepends=True)
    return "".join([*lines[:30], *(line + "\n" for line in more), *lines[30:]]).encode(
        "utf-8", "surrogatepass"
    )


def row(text: object) -> str:
    return json.dumps({"text": text})


SRT = "".join(
    f"{n}\n00:00:{n % 60:02},000 --> 00:00:{n % 60:02},900\n{text}\n\n"
    for n, text in enumerate(GOOD, 1)
)
CONLLU = "".join(f"# newdoc\n# text = {text}\n1\t{text.split()[0]}\t_\n\n" for text in GOOD)
ALL, NONE = len(GOOD), 0
TEXTS: dict[str, tuple[str, bytes, int | None]] = {
    # its name, its bytes, how many of the documents are to be found (None: as many as there are,
    # or a refusal; 0: a refusal)
    "txt": ("t.txt", PLAIN.encode(), ALL),
    "txt with a byte order mark": ("t.txt", b"\xef\xbb\xbf" + PLAIN.encode(), ALL),
    "txt with Windows line ends": ("t.txt", PLAIN.replace("\n", "\r\n").encode(), ALL),
    "txt with old Mac line ends": ("t.txt", PLAIN.replace("\n", "\r").encode(), None),
    "txt without a last line end": ("t.txt", PLAIN.rstrip().encode(), ALL),
    "txt in UTF-16": ("t.txt", PLAIN.encode("utf-16"), NONE),
    "txt in UTF-16 without a mark": ("t.txt", PLAIN.encode("utf-16-le"), NONE),
    "txt in UTF-32": ("t.txt", PLAIN.encode("utf-32"), NONE),
    "txt in Latin-1": ("t.txt", PLAIN.encode("latin-1"), NONE),
    "txt in Windows-1252": ("t.txt", PLAIN.encode("cp1252"), NONE),
    "txt in EBCDIC": ("t.txt", PLAIN.encode("cp500"), NONE),
    "txt of zeros": ("t.txt", bytes(100_000), NONE),
    "txt of bytes at random": ("t.txt", bytes((n * n * 7919) % 251 for n in range(50_000)), NONE),
    "txt of blanks": ("t.txt", b" \t\n" * 5000, NONE),
    "txt of nothing": ("t.txt", b"", NONE),
    "txt of one line": ("t.txt", GOOD[0].encode(), NONE),
    "txt of digits": ("t.txt", b"12 34 56 78 90\n" * 300, NONE),
    "txt of line separators": ("t.txt", PLAIN.replace(" ", "\u2028").encode(), None),
    "txt with a form feed a line": ("t.txt", PLAIN.replace("\n", "\n\f").encode(), ALL),
    "txt with zeros between": ("t.txt", PLAIN.replace(" ", " \x00").encode(), None),
    "txt with overlong UTF-8": ("t.txt", PLAIN.encode() + b"\xc0\xaf\n" * 3, NONE),
    "txt with a line of 5 MB": ("t.txt", PLAIN.encode() + b"ord " * 1_250_000 + b"\n", ALL + 1),
    "txt with a word of 1 MB": ("t.txt", PLAIN.encode() + b"o" * 1_000_000 + b"\n", ALL + 1),
    "txt with a thousand accents on a letter": (
        "t.txt",
        PLAIN.encode() + ("a" + "\u0301" * 1000 + " skog och sjö och berg\n").encode(),
        ALL + 1,
    ),
    "txt from right to left": ("t.txt", PLAIN.replace(" ", " \u202e").encode(), None),
    "txt with byte order marks within": ("t.txt", PLAIN.replace(" ", " \ufeff").encode(), None),
    "txt with special pieces": (
        "t.txt",
        PLAIN.encode() + b"<s> </s> <pad> <mask> <unk> skogen\n" * 2,
        ALL + 1,
    ),
    "jsonl": ("t.jsonl", ROWS.encode(), ALL),
    "jsonl with a byte order mark": ("t.jsonl", b"\xef\xbb\xbf" + ROWS.encode(), ALL),
    "jsonl with Windows line ends": ("t.jsonl", ROWS.replace("\n", "\r\n").encode(), ALL),
    "jsonl in ASCII": ("t.jsonl", "".join(row(t) + "\n" for t in GOOD).encode(), ALL),
    "jsonl with nulls": ("t.jsonl", rows(row(None), row(float("nan"))), ALL),
    "jsonl with numbers": ("t.jsonl", rows(row(3), row(1e300)), None),
    "jsonl with lists": ("t.jsonl", rows(row(["a", "b"])), None),
    "jsonl with rows without the column": ("t.jsonl", rows('{"body": "x"}'), None),
    "jsonl with a lone surrogate": ("t.jsonl", rows(r'{"text": "skogen \ud800 sjön"}'), None),
    "jsonl with a key twice": ("t.jsonl", rows('{"text": "ett", "text": "två"}'), ALL),
    "jsonl with depth": ("t.jsonl", rows('{"text": ' + "[" * 50_000 + "]" * 50_000 + "}"), NONE),
    "jsonl with a number of 5000 digits": ("t.jsonl", rows('{"text": ' + "9" * 5000 + "}"), NONE),
    "jsonl with control characters": ("t.jsonl", rows('{"text": "a\x01\x02"}'), NONE),
    "jsonl with half a row": ("t.jsonl", ROWS.encode()[:-30], NONE),
    "jsonl that is one JSON list": ("t.jsonl", json.dumps([{"text": t} for t in GOOD]).encode(), 0),
    "jsonl that is txt": ("t.jsonl", PLAIN.encode(), NONE),
    "csv": ("t.csv", table([["text"], *([t] for t in GOOD)]), ALL),
    "csv with a byte order mark": (
        "t.csv",
        b"\xef\xbb\xbf" + table([["text"], *([t] for t in GOOD)]),
        ALL,
    ),
    "csv with semicolons": (
        "t.csv",
        table([["id", "text"], *(["1", t] for t in GOOD)], delimiter=";"),
        NONE,
    ),
    "csv with a cell too many": ("t.csv", table([["text"], *([t, "x"] for t in GOOD)]), None),
    "csv with a column twice": ("t.csv", table([["text", "text"], *([t, t] for t in GOOD)]), None),
    "csv without a header": ("t.csv", table([[t] for t in GOOD]), NONE),
    "csv with line ends in cells": (
        "t.csv",
        table([["text"], *([t.replace(" ", "\n", 1)] for t in GOOD)]),
        ALL,
    ),
    "csv with a mark that never closes": (
        "t.csv",
        table([["text"], *([t] for t in GOOD)]) + b'"en rad',
        NONE,
    ),
    "tsv": ("t.tsv", table([["text"], *([t] for t in GOOD)], delimiter="\t"), ALL),
    "srt": ("t.srt", SRT.encode(), None),
    "srt with Windows line ends": ("t.srt", SRT.replace("\n", "\r\n").encode(), None),
    "srt without times": ("t.srt", PLAIN.encode(), NONE),
    "conllu": ("t.conllu", CONLLU.encode(), None),
    "conllu that is txt": ("t.conllu", PLAIN.encode(), NONE),
    "parquet": ("t.parquet", parquet(GOOD), ALL),
    "parquet of large strings": ("t.parquet", parquet(pa.array(GOOD, pa.large_string())), ALL),
    "parquet of a dictionary": ("t.parquet", parquet(pa.array(GOOD).dictionary_encode()), ALL),
    "parquet of bytes": ("t.parquet", parquet(pa.array([t.encode() for t in GOOD])), None),
    "parquet of numbers": ("t.parquet", parquet(list(range(60))), NONE),
    "parquet of another column": ("t.parquet", parquet(GOOD, "body"), NONE),
    "parquet without rows": ("t.parquet", parquet(pa.array([], pa.string())), NONE),
    "parquet with nulls": ("t.parquet", parquet([*GOOD, None, None]), ALL),
    "parquet with invalid UTF-8": (
        "t.parquet",
        parquet(
            pa.Array.from_buffers(
                pa.string(),
                2,
                [
                    None,
                    pa.py_buffer(b"\0\0\0\0\x03\0\0\0\x06\0\0\0"),
                    pa.py_buffer(b"a\xffba\xfeb"),
                ],
            )
        ),
        NONE,
    ),
    "parquet cut": ("t.parquet", parquet(GOOD)[:-100], NONE),
    "parquet flipped": ("t.parquet", parquet(GOOD).replace(b"text", b"tixt", 1), None),
    "txt.gz": ("t.txt.gz", gzip.compress(PLAIN.encode()), ALL),
    "txt.gz twice": ("t.txt.gz", gzip.compress(gzip.compress(PLAIN.encode())), NONE),
    "txt.gz in two members": (
        "t.txt.gz",
        gzip.compress(PLAIN[: len(PLAIN) // 2].encode())
        + gzip.compress(PLAIN[len(PLAIN) // 2 :].encode()),
        ALL,
    ),
    "txt.gz cut": ("t.txt.gz", gzip.compress(PLAIN.encode())[:-9], NONE),
    "txt.gz with a wrong sum": (
        "t.txt.gz",
        gzip.compress(PLAIN.encode())[:-8] + b"\x00" * 8,
        NONE,
    ),
    "txt.gz that is none": ("t.txt.gz", PLAIN.encode(), NONE),
    "txt.gz with bytes after it": ("t.txt.gz", gzip.compress(PLAIN.encode()) + b"rest", None),
    "txt.gz of 50 MB of zeros": ("t.txt.gz", gzip.compress(bytes(50_000_000)), NONE),
    "txt.bz2": ("t.txt.bz2", bz2.compress(PLAIN.encode()), ALL),
    "txt.bz2 cut": ("t.txt.bz2", bz2.compress(PLAIN.encode())[:-9], NONE),
    "txt.xz": ("t.txt.xz", lzma.compress(PLAIN.encode()), ALL),
    "txt.xz cut": ("t.txt.xz", lzma.compress(PLAIN.encode())[:-9], NONE),
    "txt.zst that is none": ("t.txt.zst", PLAIN.encode(), NONE),
    "a name without an ending": ("text", PLAIN.encode(), ALL),
    "a name of blanks and marks": ("t å'\"$(x).txt", PLAIN.encode(), ALL),
}
SHORT = {"txt in UTF-16", "jsonl with a lone surrogate"}


def collected(place: Path, path: str) -> tuple[list[str] | None, str]:
    """The documents that the recipe finds there and keeps, or None with what is said."""
    done = distill_in(
        place,
        "recipe",
        "mini.yaml",
        "--until",
        "corpus",
        "--set",
        f"corpus.sources={json.dumps([{'path': path}])}",
        timeout=120,
        **NO_STORE,
    )
    if done.returncode:
        assert is_told(done), done.stderr
        return None, done.stderr
    corpus = place / "runs" / "mini" / "corpus"
    lines = [
        line for side in ("train", "heldout") for line in (corpus / f"{side}.jsonl").open("rb")
    ]
    return [json.loads(line)["text"] for line in lines], done.stderr


@pytest.fixture
def place(mini: Mini, tmp_path: Path) -> Path:
    """A folder with the recipe."""
    (tmp_path / "mini.yaml").write_text(mini.recipe.read_text())
    return tmp_path


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, id=name, marks=[pytest.mark.short] if name in SHORT else [])
        for name in TEXTS
    ],
)
def test_text_is_read_as_it_is_or_refused(place: Path, case: str) -> None:
    name, content, expected = TEXTS[case]
    (place / name).write_bytes(content)
    documents, told = collected(place, name)
    if documents is None:
        assert expected in (NONE, None), told
        return
    assert expected != NONE, documents[:2]
    assert expected is None or len(documents) == expected, told
    if expected == ALL:
        assert {text.replace("\n", " ") for text in documents} == set(GOOD)


def _folder(path: Path) -> None:
    path.mkdir()


def _circle(path: Path) -> None:
    path.symlink_to(path)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _device(path: Path) -> None:
    path.symlink_to("/dev/null")


def _unreadable(path: Path) -> None:
    path.write_text(PLAIN)
    path.chmod(0)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [_folder, _circle, _dangling, _device, _unreadable, _pipe],
    ids=lambda make: make.__name__.strip("_"),
)
def test_a_source_that_is_no_file_is_refused(place: Path, make: Callable[[Path], None]) -> None:
    if make is _unreadable and os.geteuid() == 0:
        pytest.skip("root reads every file")
    make(place / "t.txt")
    documents, _ = collected(place, "t.txt")
    assert documents is None


def test_a_glob_of_a_thousand_files_is_read_whole(place: Path) -> None:
    (place / "many").mkdir()
    for number in range(1000):
        (place / "many" / f"{number}.txt").write_text(GOOD[number % 60] + f" {number} gånger.")
    documents, told = collected(place, "many/*.txt")
    assert documents is not None and len(documents) == 1000, told
