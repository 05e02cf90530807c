from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.models.sentence import as_files_say, check_sentence_files, read_sentence_files
from distill.recipe import TeacherSection
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


def test_a_module_that_is_not_carried_is_refused_by_name(folder: Folder) -> None:
    with pytest.raises(UserError, match=r"through 2_LSTM \(modules.json\), which the student"):
        check_sentence_files("teacher", folder(MEAN, "LSTM", "Normalize"), "mean")


def test_code_that_comes_with_a_model_is_refused_in_one_sentence(folder: Folder) -> None:
    place = folder(MEAN, "Dense")
    modules = json.loads((place / "modules.json").read_text())
    modules[2]["type"] = "custom_dense.Dense"
    (place / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(
        UserError, match=r"2_Dense .*custom_dense\.Dense.* code is never run"
    ) as told:
        check_sentence_files("teacher", place, None)
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"activation_function": "mine.Swish"}, "activation mine.Swish"),
        ({"activation_function": "torch.nn.modules.activation.RReLU"}, "activation torch"),
        ({"use_residual": True}, "with a residual"),
        ({"module_input_name": "token_embeddings"}, "something else than the pooled vector"),
    ],
)
def test_a_dense_layer_of_another_kind_is_refused(
    folder: Folder, config: dict[str, Any], words: str
) -> None:
    place = folder(MEAN, "Dense")
    (place / "2_Dense").mkdir()
    (place / "2_Dense" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=words):
        check_sentence_files("teacher", place, None)


def test_prompts_that_are_left_out_of_pooling_are_refused(folder: Folder) -> None:
    with pytest.raises(UserError, match="leaves its prompts out of pooling"):
        check_sentence_files("teacher", folder(MEAN | {"include_prompt": False}), None)


def test_two_ways_of_pooling_at_once_are_refused(folder: Folder) -> None:
    both = MEAN | {"pooling_mode_cls_token": True}
    with pytest.raises(UserError, match=r"pools by cls\+mean"):
        check_sentence_files("teacher", folder(both), None)


@pytest.mark.parametrize(
    ("file", "content", "dimensions"),
    [
        ("config.json", '{"matryoshka_dimensions": [128, 32]}', (32, 128)),
        ("config.json", '{"is_matryoshka": true}', (64, 128, 256)),
        ("README.md", '"loss": "X",\n "matryoshka_dims": [\n  64,\n  16\n ]', (16, 64)),
        ("config.json", "{}", ()),
    ],
)
def test_where_vectors_may_be_cut_is_read(
    folder: Folder, file: str, content: str, dimensions: tuple[int, ...]
) -> None:
    place = folder(MEAN)
    (place / file).write_text(content)
    assert read_sentence_files(place).dimensions == dimensions


def test_what_a_recipe_leaves_out_is_as_the_files_say(folder: Folder) -> None:
    place = folder(CLS)
    said = {"prompts": {"query": "q: ", "passage": "p: "}, "similarity_fn_name": "dot"}
    (place / "config_sentence_transformers.json").write_text(json.dumps(said))
    files = read_sentence_files(place)
    left_out = as_files_say(TeacherSection(model="a/b"), files)
    assert (left_out.pooling, left_out.prefixes.distinct) == ("cls", ["q: ", "p: "])
    given = TeacherSection.model_validate({"model": "a/b", "prefixes": {"query": "fråga: "}})
    assert as_files_say(given, files).prefixes == given.prefixes
    assert files.similarity == "dot"


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
