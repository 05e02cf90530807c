from __future__ import annotations

import json
import pickle
from pathlib import Path

from hypothesis import given, strategies as st

from distill.corpus.documents import document_batches, read_documents

TEXTS = ["Kungen\nkom.", "å" * 50, "🐟", "", "fisk " * 20, "Ö"]


def write(folder: Path) -> Path:
    file = folder / "documents.jsonl"
    rows = [{"id": str(i), "text": text, "source": i % 3} for i, text in enumerate(TEXTS)]
    file.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return file


@given(size=st.integers(1, 900))
def test_batches_of_any_size_give_every_document_once_and_in_order(
    size: int, tmp_path_factory
) -> None:
    file = write(tmp_path_factory.getbasetemp())
    found = [pair for batch in document_batches(file, size) for pair in batch]
    assert found == [(i % 3, text) for i, text in enumerate(TEXTS)]


def test_a_batch_reads_the_same_after_it_was_sent_to_another_process(tmp_path: Path) -> None:
    batch = document_batches(write(tmp_path), 100)[1]
    assert list(pickle.loads(pickle.dumps(batch))) == list(batch) != []


def test_documents_are_read_with_their_sentences_and_source(tmp_path: Path) -> None:
    documents = list(read_documents(write(tmp_path)))
    assert [document.text for document in documents] == TEXTS
    assert documents[0].sentences == ["Kungen", "kom."]
    assert [document.source for document in documents] == [0, 1, 2, 0, 1, 2]


def test_an_empty_file_has_no_batches(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert document_batches(tmp_path / "empty.jsonl") == []
