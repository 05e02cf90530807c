from __future__ import annotations

from pathlib import Path

import pytest

from distill.inspection.unknown import spell
from distill.models import Teacher, load_teacher
from tests.conftest import swedish_sentences


@pytest.fixture(scope="module")
def tiny(tiny_teacher: Path) -> Teacher:
    return load_teacher(str(tiny_teacher))


def test_text_that_the_vocabulary_was_made_of_has_nothing_unknown(tiny: Teacher) -> None:
    found = spell(tiny.tokenizer, swedish_sentences(20))
    assert found.unknown_pieces == 0 and found.unknown_characters == 0 and found.pieces_a_sentence > 4


def test_a_script_that_it_lacks_is_unknown(tiny: Teacher) -> None:
    found = spell(tiny.tokenizer, ["语言模型", "多语言"])
    assert found.unknown_characters == 1 and found.unknown_pieces > 0.3


def test_the_share_of_characters_leaves_blanks_out(tiny: Teacher) -> None:
    assert spell(tiny.tokenizer, ["och  语言", "det och"]).unknown_characters == pytest.approx(2 / 11)


def test_no_text_has_nothing_unknown(tiny: Teacher) -> None:
    found = spell(tiny.tokenizer, [])
    assert (found.unknown_pieces, found.unknown_characters, found.pieces_a_sentence) == (0, 0, 0)
