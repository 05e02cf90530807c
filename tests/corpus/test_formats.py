from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, strategies as st

from distill.corpus.formats import READERS, Row, Tally, format_of
from distill.corpus.sources import MAX_INVALID_SHARE, column_value, read_source
from distill.recipe import Source
from distill.runtime.errors import UserError


def read(form: str, content: bytes, tally: Tally | None = None) -> list[Row]:
    return list(READERS[form](io.BytesIO(content), tally or Tally(location="file")))


def srt(*entries: str, first: int = 1, end: str = "\n\n") -> str:
    """Subtitles: each entry's lines under a number and a time."""
    return "\n\n".join(
        f"{number}\n00:00:{number:02},000 --> 00:00:{number + 1:02},500\n{lines}"
        for number, lines in enumerate(entries, first)
    ) + (end)


def test_txt_gives_a_row_a_line_and_none_for_blank_lines() -> None:
    assert read("txt", "Ett.\n\n  \nTvå.".encode()) == [{"text": "Ett."}, {"text": "Två."}]


@pytest.mark.parametrize("form", ["txt", "srt", "conllu", "jsonl"])
@pytest.mark.parametrize("change", ["bom", "crlf"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(form: str, change: str) -> None:
    content = {
        "txt": "Ett.\nTvå.\n",
        "srt": srt("Hej du.", "Nu går vi."),
        "conllu": "# text = Ett.\n1\tEtt\t_\n\n# text = Två.\n1\tTvå\t_\n\n",
        "jsonl": '{"text": "Ett."}\n{"text": "Två."}\n',
    }[form]
    changed = (
        content.encode("utf-8-sig") if change == "bom" else content.replace("\n", "\r\n").encode()
    )
    assert read(form, changed) == read(form, content.encode()) != []


def test_jsonl_gives_the_objects_of_the_lines() -> None:
    assert read("jsonl", '{"text": "Å", "n": 1}\n\n{"text": "Ö"}\n'.encode()) == [
        {"text": "Å", "n": 1},
        {"text": "Ö"},
    ]


@pytest.mark.parametrize("line", ["[1, 2]", '"text"', "{", "null", "[" * 100_000, "1" * 5000])
def test_a_jsonl_line_that_is_no_object_is_counted_and_the_first_is_named(line: str) -> None:
    tally = Tally(location="a.jsonl")
    assert read("jsonl", f'{{"text": "x"}}\n{line}\n{{"text": "y"}}\n{line}\n'.encode(), tally) == [
        {"text": "x"},
        {"text": "y"},
    ]
    assert (tally.invalid_json, tally.invalid_utf8, tally.lines) == (2, 0, 4)
    assert tally.first_invalid == "a.jsonl, line 2"


@pytest.mark.parametrize("form", ["txt", "jsonl", "srt", "conllu"])
def test_a_line_that_is_not_utf8_is_counted_and_the_first_is_named(form: str) -> None:
    tally = Tally(location="a")
    read(form, b'{"text": "x"}\n\n\xe5\xe4\xf6\n\xff\n', tally)
    assert (tally.invalid_utf8, tally.lines, tally.first_invalid) == (2, 4, "a, line 3")


def test_parquet_gives_its_rows(tmp_path: Path) -> None:
    rows = [{"text": f"Rad {number}", "n": number} for number in range(3000)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    tally = Tally()
    assert read("parquet", (tmp_path / "a.parquet").read_bytes(), tally) == rows
    assert tally.lines == 3000


def test_srt_gives_one_row_with_a_line_an_entry() -> None:
    assert read("srt", srt("Hej du.", "Nu går vi.").encode()) == [{"text": "Hej du.\nNu går vi."}]


def test_srt_joins_the_lines_of_one_entry() -> None:
    assert read("srt", srt("Kungen kom\ntill staden\ni går.", "Slut.").encode()) == [
        {"text": "Kungen kom till staden i går.\nSlut."}
    ]


def test_srt_may_count_from_zero() -> None:
    assert read("srt", srt("Hej.", "Du.", first=0).encode()) == [{"text": "Hej.\nDu."}]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n\n"])
def test_srt_may_end_in_any_number_of_blank_lines(end: str) -> None:
    assert read("srt", srt("Hej.", "Du.", end=end).encode()) == [{"text": "Hej.\nDu."}]


@pytest.mark.parametrize(
    ("tagged", "bare"),
    [
        ("<i>Hej</i> du.", "Hej du."),
        ('<font color="#fff">Hej</font>', "Hej"),
        ("{\\an8}Hej", "Hej"),
        ("2 < 3 och 5 > 4", "2 < 3 och 5 > 4"),
        ("{ja}", "{ja}"),
    ],
)
def test_srt_loses_its_tags_and_nothing_else(tagged: str, bare: str) -> None:
    assert read("srt", srt(tagged).encode()) == [{"text": bare}]


def test_srt_keeps_numbers_that_are_spoken() -> None:
    assert read("srt", srt("1939", "År\n1940").encode()) == [{"text": "1939\nÅr 1940"}]


def test_srt_without_an_entry_gives_no_row() -> None:
    assert read("srt", b"1\n00:00:00,000 --> 00:00:01,000\n\n") == []


def test_conllu_gives_a_row_a_file_with_a_line_a_sentence() -> None:
    content = (
        "# sent_id = 1\n# text = Det regnar.\n1\tDet\tdet\n\n# text = Solen "
        "skiner.\n1\tSolen\tsol\n\n"
    )
    assert read("conllu", content.encode()) == [{"text": "Det regnar.\nSolen skiner."}]


def test_conllu_gives_a_row_a_document_where_documents_are_marked() -> None:
    content = (
        "# newdoc id = a\n# text = Ett.\n\n# text = Två.\n\n# newdoc id = b\n# text = Tre.\n\n"
    )
    assert read("conllu", content.encode()) == [{"text": "Ett.\nTvå."}, {"text": "Tre."}]


@given(content=st.binary(), form=st.sampled_from(["txt", "jsonl", "srt", "conllu"]))
def test_no_bytes_whatever_make_a_reader_of_lines_raise(content: bytes, form: str) -> None:
    tally = Tally(location="file")
    rows = read(form, content, tally)
    assert all(isinstance(row, dict) for row in rows)
    assert tally.invalid_utf8 + tally.invalid_json <= tally.lines
    assert (tally.first_invalid is None) == (tally.invalid_utf8 + tally.invalid_json == 0)


@given(
    lines=st.lists(
        st.sampled_from(
            [
                b"1",
                b"",
                b"00:00:01,000 --> 00:00:02,000",
                b"Hej",
                b"<i>",
                b"\xff",
                b"# text = a",
                b"# newdoc",
                b"{}",
                b"[",
            ]
        )
    ),
    form=st.sampled_from(["txt", "jsonl", "srt", "conllu"]),
)
def test_no_order_of_well_known_lines_makes_a_reader_raise(lines: list[bytes], form: str) -> None:
    for row in read(form, b"\n".join(lines)):
        assert form == "jsonl" or row["text"].strip()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.txt", "txt"),
        ("A.TXT.GZ", "txt"),
        ("a.json", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.conll", "conllu"),
        ("a.b.srt", "srt"),
        ("a.parquet", "parquet"),
        ("a", None),
        ("a.docx", None),
        ("txt.gz.zip", None),
    ],
)
def test_a_files_name_tells_its_format(name: str, form: str | None) -> None:
    assert format_of(name) == form


@pytest.mark.parametrize("form", ["txt", "jsonl", "srt", "conllu"])
def test_a_gzipped_file_reads_as_the_plain_one(form: str, tmp_path: Path) -> None:
    content = {
        "txt": "Ett.\nTvå.\n",
        "jsonl": '{"text": "Ett."}\n',
        "srt": srt("Hej."),
        "conllu": "# text = Ett.\n",
    }[form].encode()
    (tmp_path / f"a.{form}").write_bytes(content)
    (tmp_path / f"a.{form}.gz").write_bytes(gzip.compress(content))
    plain, packed = (
        [record.row for record in read_source(Source(path=str(tmp_path / name)), Tally())]
        for name in (f"a.{form}", f"a.{form}.gz")
    )
    assert plain == packed != []


def test_a_few_unreadable_lines_are_left_out_and_tallied(tmp_path: Path) -> None:
    lines = [json.dumps({"text": str(number)}) for number in range(int(2 / MAX_INVALID_SHARE))]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{"]), encoding="utf-8")
    tally = Tally()
    assert len(list(read_source(Source(path=str(tmp_path / "a.jsonl")), tally))) == len(lines)
    assert (tally.invalid_json, tally.rows, tally.files) == (1, len(lines), 1)
    assert tally.first_invalid == f"a.jsonl, line {len(lines) + 1}"


@pytest.mark.parametrize(
    ("form", "said"), [("txt", "not valid UTF-8"), ("jsonl", "not JSON objects")]
)
def test_a_file_that_is_mostly_unreadable_is_an_error_that_names_the_first_place(
    form: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / f"latin.{form}").write_bytes(
        "Räksmörgås\n".encode("latin-1" if form == "txt" else "utf-8") * 10
    )
    with pytest.raises(
        UserError, match=f"10 of 10 lines are {said} \\(first: latin.{form}, line 1\\)"
    ):
        list(read_source(Source(path=str(tmp_path / f"latin.{form}")), Tally()))


def test_a_conllu_sentence_without_its_text_is_put_together_from_its_words():
    rows = (
        b"1\tFisk\t_\t_\n2\tsimmar\t_\tSpaceAfter=No\n3\t.\t_\t_\n\n# text = "
        b"Hav.\n1\tHav\t_\tSpaceAfter=No\n2\t.\t_\t_"
    )
    assert [row["text"] for row in READERS["conllu"](io.BytesIO(rows), Tally())] == [
        "Fisk simmar.\nHav."
    ]


def test_an_srt_entry_that_follows_without_a_blank_line_leaves_no_number_in_the_text():
    rows = b"1\n00:00:01,000 --> 00:00:02,000\nEtt.\n2\n00:00:02,000 --> 00:00:03,000\n1939\n"
    assert [row["text"] for row in READERS["srt"](io.BytesIO(rows), Tally())] == ["Ett.\n1939"]


def test_csv_has_its_columns_in_the_first_line_and_quoted_cells() -> None:
    content = '﻿id,text\r\n1,"Ett, två"\r\n2,"sade ""hej""\noch gick"\r\n3\r\n4,a,b\r\n'
    assert read("csv", content.encode()) == [
        {"id": "1", "text": "Ett, två"},
        {"id": "2", "text": 'sade "hej"\noch gick'},
        {"id": "3", "text": None},
        {"id": "4", "text": "a"},
    ]


def test_tsv_takes_quotation_marks_as_they_are() -> None:
    assert read("tsv", 'id\ttext\n1\t"Ett\n2\ttvå" sade han\n'.encode()) == [
        {"id": "1", "text": '"Ett'},
        {"id": "2", "text": 'två" sade han'},
    ]


def test_a_quotation_mark_that_is_never_closed_is_an_error_with_the_line_where_it_opens(
    tmp_path: Path,
) -> None:
    rows = [f"{i},text {i}" for i in range(200)]
    rows[3] = '3,"text 3'
    (tmp_path / "a.csv").write_text("\n".join(["id,text", *rows]) + "\n")
    with pytest.raises(UserError, match=r"a\.csv cannot be read as csv \(the row that begins in"):
        list(read_source(Source(path=str(tmp_path / "a.csv")), Tally()))
    with pytest.raises(csv.Error, match="begins in line 5"):
        read("csv", (tmp_path / "a.csv").read_bytes())


def test_a_csv_cell_may_have_any_size() -> None:
    long = "ord " * 50_000
    assert read("csv", f'text\n"{long}"\n'.encode()) == [{"text": long}]


def test_csv_columns_lose_the_blanks_around_their_names_as_those_of_a_recipe_do() -> None:
    assert read("csv", b"text, label \nett,a\n") == [{"text": "ett", "label": "a"}]


def test_a_parquet_column_that_nobody_asks_for_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    broken = pa.array([253402300800], pa.timestamp("s"))  # the year 10000, which Python lacks
    parquet.write_table(pa.table({"text": ["ett"], "when": broken}), path)
    source = Source(path=str(path))
    (record,) = read_source(source, Tally())
    assert column_value(record, "text", source) == "ett"
    with pytest.raises(UserError, match=r"column 'when' of a\.parquet, row 1 cannot be decoded"):
        column_value(record, "when", source)


@pytest.mark.parametrize(("ending", "compress"), [("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_file_reads_as_the_plain_one(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(compress('{"text": "Å"}\n'.encode()))
    (record,) = read_source(Source(path=str(path)), Tally())
    assert record.row == {"text": "Å"}


def test_a_zstandard_file_reads_as_the_plain_one(tmp_path: Path) -> None:
    import zstandard

    path = tmp_path / "a.txt.zst"
    path.write_bytes(zstandard.compress("Å\n".encode()))
    (record,) = read_source(Source(path=str(path)), Tally())
    assert record.row == {"text": "Å"}


@pytest.fixture
def values(tmp_path: Path) -> Callable[..., list[str]]:
    """`values(column, *rows)`: what the rows of a file have in a column."""

    def values(column: str, *rows: str) -> list[str]:
        (tmp_path / "rows.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        source = Source(path=str(tmp_path / "rows.jsonl"))
        return [column_value(record, column, source) for record in read_source(source, Tally())]

    return values


def test_absence_is_empty_however_it_is_spelled(values: Callable[..., list[str]]) -> None:
    assert values("text", '{"text": null}', '{"text": NaN}', '{"id": 1}', '{"text": "x"}') == [
        "",
        "",
        "",
        "x",
    ]


def test_a_column_within_a_column_is_named_with_a_dot(values: Callable[..., list[str]]) -> None:
    assert values("translation.sv", '{"translation": {"sv": "Hej", "en": "Hi"}}') == ["Hej"]
    assert values("a.b", '{"a.b": "itself", "a": {"b": "within"}}') == ["itself"]


def test_a_column_that_no_row_has_is_an_error_that_names_those_there_are(
    values: Callable[..., list[str]],
) -> None:
    with pytest.raises(
        UserError, match=r"there is no column 'txt' in rows\.jsonl, row 1; its colu"
    ):
        values("txt", '{"text": "a"}', '{"label": 1}')
