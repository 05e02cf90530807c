from __future__ import annotations

from pathlib import Path

import pytest

from distill.inspection.unknown import spell
from distill.models import LoadedModel, load_with_tokenizer
from tests.conftest import swedish_sentences


@pytest.fixture(scope="module")
def tiny(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def test_text_that_the_vocabulary_was_made_of_has_nothing_unknown(tiny: LoadedModel) -> None:
    found = spell(tiny.tokenizer, swedish_sentences(20))
    assert (
        found.unknown_pieces == 0 and found.unknown_characters == 0 and found.pieces_a_sentence > 4
    )


def test_a_script_that_it_lacks_is_unknown(tiny: LoadedModel) -> None:
    found = spell(tiny.tokenizer, ["语言模型", "多语言"])
    assert found.unknown_characters == 1 and found.unknown_pieces > 0.3


def test_the_share_of_characters_leaves_blanks_out(tiny: LoadedModel) -> None:
    assert spell(tiny.tokenizer, ["och  语言", "det och"]).unknown_characters == pytest.approx(
        2 / 11
    )


def test_no_text_has_nothing_unknown(tiny: LoadedModel) -> None:
    found = spell(tiny.tokenizer, [])
    assert (found.unknown_pieces, found.unknown_characters, found.pieces_a_sentence) == (0, 0, 0)
