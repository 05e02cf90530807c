from __future__ import annotations

import json

import pytest

from distill.new.teachers import KNOWN_TEACHERS, KnownTeacher
from tests.conftest import ROOT

ROWS = {
    row["model"]: row
    for row in json.loads((ROOT / "benchmarks" / "results" / "teachers.json").read_text())["rows"]
}
TABLE = (ROOT / "docs" / "teacher.md").read_text(encoding="utf-8").split("## Teachers known")[1]


@pytest.mark.parametrize("teacher", KNOWN_TEACHERS, ids=lambda teacher: teacher.model)
def test_the_table_of_the_docs_says_what_was_counted_of_each_known_teacher(
    teacher: KnownTeacher,
) -> None:
    row = ROWS[teacher.model]
    (line,) = (one for one in TABLE.splitlines() if one.startswith(f"| `{teacher.model}` |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert (row["licence"], row["vocabulary"]) == (teacher.licence, teacher.vocabulary)
    assert cells[4] == teacher.licence and cells[5] == f"{teacher.vocabulary:,}"
    if teacher.refused:
        assert cells[6] == "refused: remote code"
    else:
        sizes = [row[key] for key in ("parameters", "trimmed_parameters")]
        assert cells[6:8] == [f"{size / 1e6:.0f}M" for size in sizes]
        assert row["max_abs_hidden_difference"] == 0.0 and row["compared"] >= 90
        assert row.get("max_abs_vector_difference", 0.0) == 0.0
