from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.models.sentence import check_sentence_files, read_sentence_files
from distill.runtime.errors import UserError

MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """`folder(pooling, more modules)`: a sentence-transformers folder without weights."""

    def folder(pooling: Any, *further: str, settings: Any = None) -> Path:
        names = ["Transformer", "Pooling", *further]
        modules = [
            {
                "idx": i,
                "path": f"{i}_{name}" if i else "",
                "type": f"sentence_transformers.models.{name}",
            }
            for i, name in enumerate(names)
        ]
        (tmp_path / "modules.json").write_text(json.dumps(modules))
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        if settings is not None:
            (tmp_path / "sentence_bert_config.json").write_text(json.dumps(settings))
        return tmp_path

    return folder


@pytest.mark.parametrize(
    ("config", "pooling"), [(MEAN, "mean"), (CLS, "cls"), ({"pooling_mode": "cls"}, "cls")]
)
def test_pooling_is_read_from_the_folder(folder: Folder, config: Any, pooling: str) -> None:
    described = folder(config)
    assert read_sentence_files(described).pooling == pooling
    check_sentence_files("teacher", described, pooling)


def test_another_pooling_than_the_recipes_is_refused_with_the_line_to_write(folder: Folder) -> None:
    with pytest.raises(UserError, match=r"by cls pooling .* recipe says mean; set teacher.pool"):
        check_sentence_files("teacher", folder(CLS), "mean")


def test_a_dense_layer_after_pooling_is_refused_by_name(folder: Folder) -> None:
    with pytest.raises(UserError, match=r"through 2_Dense \(modules.json\)"):
        check_sentence_files("teacher", folder(MEAN, "Dense", "Normalize"), "mean")


def test_lower_casing_before_the_tokenizer_is_refused(folder: Folder) -> None:
    with pytest.raises(UserError, match="lower-cases text before its tokenizer"):
        check_sentence_files("teacher", folder(MEAN, settings={"do_lower_case": True}), "mean")


def test_normalised_vectors_and_folders_of_another_kind_are_taken(
    folder: Folder, tmp_path: Path
) -> None:
    check_sentence_files("teacher", folder(MEAN, "Normalize"), "mean")
    check_sentence_files("teacher", tmp_path / "1_Pooling", "cls")


def test_a_modules_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(UserError, match=r"modules\.json cannot be read"):
        read_sentence_files(tmp_path)
