from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from distill.corpus import cleaned
from distill.corpus.cleaned import Cleaned, cleaned_records
from distill.corpus.sources import Record
from distill.recipe import Source
from distill.runtime.errors import UserError

TEXTS = [f"Rad  {i}.\nKungen\u200b kom {i % 7}.\n---" for i in range(60)]


def records(rows: list[dict[str, Any]]) -> Iterator[Record]:
    for i, row in enumerate(rows):
        yield Record(row=row, origin=f"{i}", group=f"{i}", sentence_a_line=False)


def of_text(texts: list[str] = TEXTS) -> Iterator[Record]:
    return records([{"text": text} for text in texts])


def test_records_come_cleaned_and_in_their_order() -> None:
    found = list(cleaned_records(of_text(), Source(path="text.txt"), min_letters=0.3))
    assert [one.record.origin for one in found] == [str(i) for i in range(60)]
    assert [one.given for one in found] == [[text] for text in TEXTS]
    assert found[8].texts == ["Rad 8.\nKungen kom 1."]
    assert found[8].identity != found[9].identity


def test_other_processes_give_what_this_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaned, "_BATCH_CHARACTERS", 100)
    monkeypatch.setattr(cleaned, "_WORTH_PROCESSES", 3)

    def read(workers: int) -> list[Cleaned]:
        source = Source(path="text.txt")
        return list(cleaned_records(of_text(), source, min_letters=0.3, workers=workers))

    assert read(2) == read(1)


def test_of_a_pair_a_year_is_an_answer() -> None:
    rows = [{"q": "När kom  kungen?", "a": "1905"}]
    source = Source(path="pairs.jsonl", column="q", text_pair="a")
    (found,) = cleaned_records(records(rows), source, min_letters=0.5)
    assert found.texts == ["När kom kungen?", "1905"]


def test_no_record_is_read_ahead_of_a_source_that_ends_at_some_size() -> None:
    left = of_text()
    limited = Source(path="text.txt", max_bytes=10)
    assert next(cleaned_records(left, limited, min_letters=0.3)).record.origin == "0"
    assert next(left).origin == "1"


def test_a_record_without_the_column_is_told() -> None:
    rows = [{"text": "ja"}, {"body": "nej"}]
    with pytest.raises(UserError, match="text"):
        list(cleaned_records(records(rows), Source(path="text.jsonl"), min_letters=0.3))
