from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.inspection.sentences import describe_sentences, read_parallel, read_sentences
from distill.recipe import InspectionSection
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes

ROWS = [
    {"id": str(number), "language": language, "text": f"{language} {number}"}
    for language in ("en", "sv", "fi")
    for number in range(6)
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_csv(path: Path, delimiter: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "language", "text"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def file_a_language(folder: Path) -> Path:
    for language in ("en", "sv", "fi"):
        write(folder / f"{language}.jsonl", [row for row in ROWS if row["language"] == language])
    return folder


def folder_a_language(folder: Path) -> Path:
    for language in ("en", "sv", "fi"):
        rows = [row for row in ROWS if row["language"] == language]
        write(folder / language / "test.jsonl.gz", rows)
        write(folder / language / "train.jsonl.gz", rows[:1])
    (folder / "README.md").write_text("What this is.", encoding="utf-8")
    (folder / ".hidden").mkdir()
    return folder


@pytest.mark.parametrize(
    "made",
    [
        lambda folder: write(folder / "all.jsonl", ROWS),
        lambda folder: write(folder / "all.jsonl.gz", ROWS[::-1]),
        lambda folder: write_csv(folder / "all.csv", ","),
        lambda folder: write_csv(folder / "all.tsv", "\t"),
        file_a_language,
        folder_a_language,
    ],
)
def test_sentences_stand_at_the_place_of_their_translations(
    tmp_path: Path, made: Callable[[Path], Path]
) -> None:
    found = read_parallel(made(tmp_path))
    assert sorted(found.languages) == ["en", "fi", "sv"] and sorted(found.ids) == list("012345")
    assert [[*of_language] for of_language in found.texts] == [
        [f"{code} {i}" for i in found.ids] for code in found.languages
    ]
    assert found.rows("query: ")[: len(found.ids)] == [f"query: {text}" for text in found.texts[0]]


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    rows = [{"key": row["id"], "lang": row["language"], "sentence": row["text"]} for row in ROWS]
    found = read_parallel(
        write(tmp_path / "a.jsonl", rows),
        id_column="key",
        text_column="sentence",
        language_column="lang",
    )
    assert len(found.ids) == 6


def test_numbers_serve_as_ids(tmp_path: Path) -> None:
    assert (
        read_parallel(
            write(tmp_path / "a.jsonl", [{**row, "id": int(row["id"])} for row in ROWS])
        ).ids[0]
        == "0"
    )


def test_languages_come_as_they_are_asked_for(tmp_path: Path) -> None:
    assert read_parallel(file_a_language(tmp_path), languages=["sv", "en"]).languages == (
        "sv",
        "en",
    )


def test_a_sentence_that_a_language_lacks_or_leaves_empty_is_left_out_of_all(
    tmp_path: Path,
) -> None:
    rows = [
        {**row, "text": " " if row["id"] == "2" and row["language"] == "fi" else row["text"]}
        for row in ROWS[:-1]
    ]
    found = read_parallel(write(tmp_path / "a.jsonl", rows))
    assert found.ids == ("0", "1", "3", "4") and {len(texts) for texts in found.texts} == {4}


def test_of_many_as_many_are_drawn_the_same_for_the_same_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    draws = {seed: read_parallel(path, most=4, seed=seed).ids for seed in range(8)}
    assert {len(ids) for ids in draws.values()} == {4} and len(set(draws.values())) > 1
    assert read_parallel(path, most=4, seed=3).ids == draws[3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "it is empty"),
        (
            [row for row in ROWS if row["language"] == "sv"],
            "has sv; two languages at least are compared",
        ),
        ([*ROWS, ROWS[0]], "has the id 0 twice in en"),
        (
            [{**row, "id": row["language"] + row["id"]} for row in ROWS],
            "has 0 of the ids in every language, and 4 are needed",
        ),
        (
            [row for row in ROWS if row["id"] < "3"],
            "has 3 of the ids in every language, and 4 are needed",
        ),
        ([{**row, "text": ""} for row in ROWS], "has 0 of the ids in every language"),
        (
            [{"text": row["text"], "language": row["language"]} for row in ROWS],
            "there is no column 'id' in a.jsonl, row 1",
        ),
        ([{"id": row["id"], "text": row["text"]} for row in ROWS], "there is no column 'language'"),
        ([{**row, "text": {"a": 1}} for row in ROWS], "column 'text' holds dict"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_parallel(write(tmp_path / "a.jsonl", rows))


def test_a_language_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no de; its languages: en, fi, sv\."):
        read_parallel(file_a_language(tmp_path), languages=["sv", "de"])


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file or folder"):
        read_parallel(tmp_path / "missing")


def test_a_folder_without_any_sentences_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no language; two languages at least are compared"):
        read_parallel(tmp_path)


def test_two_files_of_a_language_are_said(tmp_path: Path) -> None:
    write(file_a_language(tmp_path) / "sv.csv", ROWS)
    with pytest.raises(UserError, match=r"has two files of sv, sv\.csv and sv\.jsonl"):
        read_parallel(tmp_path)


def test_a_folder_of_which_it_is_not_clear_which_file_is_meant_is_said(tmp_path: Path) -> None:
    folder_a_language(tmp_path)
    (tmp_path / "sv" / "test.jsonl.gz").rename(tmp_path / "sv" / "dev.jsonl.gz")
    with pytest.raises(UserError, match=r"sv has 2 files; one is needed, or one called test"):
        read_parallel(tmp_path)


def test_the_kept_language_must_be_there(tmp_path: Path) -> None:
    section = InspectionSection(sentences=str(write(tmp_path / "a.jsonl", ROWS)))
    assert len(read_sentences(section, "sv", 0).ids) == 6
    with pytest.raises(
        UserError, match=r"inspection.kept: .* has no da, .* its languages: en, sv, fi"
    ):
        read_sentences(section, "da", 0)


def test_a_description_changes_with_the_files_of_the_languages_that_are_read(
    tmp_path: Path,
) -> None:
    folder = folder_a_language(tmp_path)
    before = (
        describe_sentences(folder, None, FileHashes()),
        describe_sentences(folder, ["en", "sv"], FileHashes()),
    )
    write(folder / "fi" / "test.jsonl.gz", ROWS[:2])
    after = (
        describe_sentences(folder, None, FileHashes()),
        describe_sentences(folder, ["en", "sv"], FileHashes()),
    )
    assert before[0] != after[0] and before[1] == after[1]


def test_more_than_memory_holds_is_refused_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.inspection.sentences.MOST_VECTORS", 15)
    section = InspectionSection(sentences=str(write(tmp_path / "a.jsonl", ROWS)))
    with pytest.raises(
        UserError,
        match=r"6 sentences in 3 languages are more than 15 vectors.*max_sentences: 5, or",
    ):
        read_sentences(section, None, 0)
    assert len(read_sentences(section.model_copy(update={"max_sentences": 5}), None, 0).ids) == 5
