from __future__ import annotations

from distill.recipe.section import meaning
from distill.recipe.vocabulary import CorpusSection

SOURCES = {"sources": [{"path": "texts/*.jsonl"}]}


def test_text_that_was_read_before_tasks_could_be_left_out_is_still_the_same() -> None:
    plain = meaning(CorpusSection.model_validate(SOURCES))
    asked = meaning(CorpusSection.model_validate({**SOURCES, "without_tasks": True}))
    assert isinstance(plain, dict) and isinstance(asked, dict)
    assert "without_tasks" not in plain
    assert asked == {**plain, "without_tasks": True}
