from __future__ import annotations

from pathlib import Path

import pytest

from distill.models import LoadedModel
from distill.training.blocks import write_blocks
from distill.training.chunks import special_around
from tests.conftest import swedish_sentences

TEXTS = swedish_sentences(50)


def test_all_blocks_but_the_last_are_full_and_hold_the_text_in_order(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    blocks = write_blocks(TEXTS, teacher.tokenizer, tmp_path, block_tokens=20)
    assert set(blocks.lengths[:-1]) == {20}
    rows = [
        list(map(int, blocks.ids[start:end]))
        for start, end in zip(blocks.offsets, blocks.offsets[1:], strict=False)
    ]
    assert all((row[0], row[-1]) == (0, 2) for row in rows)
    expected = [
        i
        for text in TEXTS
        for i in [*teacher.tokenizer(text, add_special_tokens=False)["input_ids"], 2]
    ]
    assert [i for row in rows for i in row[1:-1]] == expected


def test_a_block_without_room_for_text_is_refused(teacher: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a block of 2 tokens has no room beside 2 special ones"):
        write_blocks(TEXTS, teacher.tokenizer, tmp_path, block_tokens=2)


def test_what_stands_around_a_text_is_told_from_the_tokenizer(teacher: LoadedModel) -> None:
    assert special_around(teacher.tokenizer) == ([0], [2])
