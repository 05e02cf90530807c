from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from distill.models import load_with_tokenizer
from distill.models.saving import save_model

TEXT = "kung och fisk i en stad med skepp och en hamn"


@pytest.fixture
def saved(tiny_teacher: Path, tmp_path: Path) -> Path:
    """The folder of a tokenizer that was called with padding and truncation before it was saved,
    and its model.
    """
    teacher = load_with_tokenizer(str(tiny_teacher))
    teacher.tokenizer(
        [TEXT, "ko"],
        padding="max_length",
        truncation=True,
        max_length=8,
        stride=2,
        pad_to_multiple_of=8,
    )
    save_model(teacher.model, teacher.tokenizer, tmp_path / "saved")
    return tmp_path / "saved"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_stock_folder_is_written(saved: Path) -> None:
    files = {path.name for path in saved.iterdir()}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_model_and_tokenizer_come_back_as_they_were(saved: Path, tiny_teacher: Path) -> None:
    teacher = load_with_tokenizer(str(tiny_teacher))
    model, tokenizer = AutoModel.from_pretrained(saved), AutoTokenizer.from_pretrained(saved)
    assert all(
        torch.equal(tensor, model.state_dict()[name])
        for name, tensor in teacher.model.state_dict().items()
    )
    assert tokenizer(TEXT)["input_ids"] == teacher.tokenizer(TEXT)["input_ids"]
    assert tokenizer.get_vocab() == teacher.tokenizer.get_vocab()
    assert tokenizer.model_max_length == teacher.tokenizer.model_max_length


def test_the_last_calls_truncation_and_padding_are_not_in_the_files(
    saved: Path, tiny_teacher: Path
) -> None:
    definition = read_json(saved / "tokenizer.json")
    assert definition["truncation"] is None and definition["padding"] is None
    expected = Tokenizer.from_file(str(tiny_teacher / "tokenizer.json")).encode(TEXT).ids
    assert Tokenizer.from_file(str(saved / "tokenizer.json")).encode(TEXT).ids == expected
    assert len(expected) > 8


def test_nothing_about_this_machine_or_the_last_call_is_in_the_configuration(
    saved: Path, tiny_teacher: Path
) -> None:
    text = "".join(
        (saved / name).read_text(encoding="utf-8")
        for name in ("tokenizer_config.json", "config.json")
    )
    assert str(tiny_teacher) not in text
    config = read_json(saved / "tokenizer_config.json")
    assert not config.keys() & {
        "is_local",
        "local_files_only",
        "max_length",
        "stride",
        "truncation_strategy",
        "pad_to_multiple_of",
        "backend",
        "name_or_path",
    }


def test_the_tokenizers_class_is_one_that_every_version_knows(saved: Path) -> None:
    assert (
        read_json(saved / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    )
    assert (
        PreTrainedTokenizerFast.from_pretrained(saved)(TEXT)["input_ids"]
        == AutoTokenizer.from_pretrained(saved)(TEXT)["input_ids"]
    )


def test_the_weights_can_be_read_by_others_than_the_owner(saved: Path) -> None:
    assert stat.S_IMODE((saved / "model.safetensors").stat().st_mode) == 0o644


def test_letters_are_written_as_letters(saved: Path) -> None:
    assert "ö" in (saved / "tokenizer.json").read_text(encoding="utf-8")
