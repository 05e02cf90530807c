from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from distill.runtime import hashes
from distill.runtime.hashes import FileHashes, hash_file


def test_a_hash_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x" * 3_000_000)
    os.utime(tmp_path / "b", (1, 1))
    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"x" * 2_999_999 + b"y")
    assert hash_file(tmp_path / "a") != hash_file(tmp_path / "b")


def test_a_file_is_read_once_until_something_wrote_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    real = hash_file

    def counted(path: Path) -> str:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(hashes, "hash_file", counted)
    file, kept = tmp_path / "text", tmp_path / "kept" / "hashes.json"
    file.write_text("one")
    first = FileHashes(kept).of(file)
    assert FileHashes(kept).of(file) == first and len(reads) == 1
    file.write_text("two")
    assert FileHashes(kept).of(file) != first and len(reads) == 2


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": [[1], "b"]}', "\0"])
def test_a_kept_file_that_is_damaged_costs_reading_again(tmp_path: Path, content: str) -> None:
    file, kept = tmp_path / "text", tmp_path / "hashes.json"
    file.write_text("one")
    kept.write_text(content)
    assert FileHashes(kept).of(file) == hash_file(file)
    assert str(file) in json.loads(kept.read_text())


def test_a_folder_is_known_by_the_names_and_hashes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_text("b")
    (tmp_path / "a").write_text("a")
    found = FileHashes().of_folder(tmp_path)
    assert found == {name: hash_file(tmp_path / name) for name in ("a", "deep/b")}
    assert list(FileHashes().of_folder(tmp_path, [tmp_path / "a"])) == ["a"]
