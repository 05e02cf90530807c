from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
)

from distill.models import load_with_tokenizer
from distill.recipe import StudentSection
from distill.report.results.student import StudentResult
from distill.runtime.errors import UserError
from distill.student.build import build_student, describe_model
from tests.conftest import swedish_sentences


def run_stage(tiny_teacher: Path, output: Path, **section: Any) -> StudentResult:
    return build_student(
        StudentSection.model_validate(
            {**({} if "config" in section or "model" in section else {"layers": 2}), **section}
        ),
        trimmed=load_with_tokenizer(str(tiny_teacher)),
        teacher={"name": "tiny"},
        texts=iter(swedish_sentences(5)),
        output=output,
        existing=load_with_tokenizer(section["model"]) if "model" in section else None,
    )


@pytest.mark.parametrize(
    ("section", "layers", "hidden_size", "intermediate_size"),
    [
        ({}, [2, 4], 32, 64),
        ({"layers": [1, 2, 4]}, [1, 2, 4], 32, 64),
        ({"hidden_size": 16}, [2, 4], 16, 64),
        ({"intermediate_size": 40}, [2, 4], 32, 40),
        ({"hidden_size": 16, "pruning": {"importance": "magnitude"}}, [2, 4], 16, 64),
        ({"config": {"num_hidden_layers": 1, "hidden_size": 24}}, [4], 24, 64),
        ({"config": {"intermediate_size": 24}, "weights": "random"}, [1, 2, 3, 4], 32, 24),
    ],
)
def test_the_result_tells_what_a_reader_of_the_folder_finds(
    tiny_teacher: Path,
    tmp_path: Path,
    section: dict[str, Any],
    layers: list[int],
    hidden_size: int,
    intermediate_size: int,
) -> None:
    result = run_stage(tiny_teacher, tmp_path, **section)
    model = AutoModel.from_pretrained(tmp_path / "model")
    assert result.teacher_layers == layers
    assert (result.layers, result.hidden_size, result.intermediate_size) == (
        len(layers),
        hidden_size,
        intermediate_size,
    )
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (len(layers), hidden_size)
    assert model.config.intermediate_size == intermediate_size
    assert result.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (
        result.embedding_parameters
        == model.embeddings.word_embeddings.weight.numel()
        == result.vocabulary_size * hidden_size
    )
    assert result.teacher == {"name": "tiny"}


def test_a_student_with_a_factorised_table_is_a_stock_electra(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    result = run_stage(tiny_teacher, tmp_path, embedding_size=8)
    model = AutoModel.from_pretrained(tmp_path / "model")
    assert type(model).__name__ == "ElectraModel"
    assert result.embedding_parameters == result.vocabulary_size * 8
    assert (result.layers, result.hidden_size) == (2, 32)


def test_an_existing_model_is_the_student(tiny_teacher: Path, tmp_path: Path) -> None:
    result = run_stage(tiny_teacher, tmp_path, model=str(tiny_teacher))
    assert result.teacher_layers == [1, 2, 3, 4]
    own, expected = (
        AutoModel.from_pretrained(path).state_dict() for path in (tmp_path / "model", tiny_teacher)
    )
    assert all(own[name].equal(expected[name]) for name in own)


def test_nothing_but_the_model_is_left_of_pruning(tiny_teacher: Path, tmp_path: Path) -> None:
    run_stage(tiny_teacher, tmp_path, hidden_size=16)
    assert [folder.name for folder in tmp_path.iterdir()] == ["model"]


def test_a_config_that_cannot_be_is_the_users_to_mend(tiny_teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"student\.config: hiden_size is no key of a xlm-roberta config.*hidden_size\.",
    ):
        run_stage(tiny_teacher, tmp_path, config={"hiden_size": 16})


def test_the_tokenizer_goes_with_the_student(tiny_teacher: Path, tmp_path: Path) -> None:
    run_stage(tiny_teacher, tmp_path)
    text = swedish_sentences(1)[0]
    own, expected = (
        AutoTokenizer.from_pretrained(path)(text)["input_ids"]
        for path in (tmp_path / "model", tiny_teacher)
    )
    assert own == expected


@pytest.mark.parametrize(
    "model",
    [
        BertModel(
            BertConfig(
                vocab_size=50,
                hidden_size=8,
                num_hidden_layers=3,
                num_attention_heads=2,
                intermediate_size=20,
            )
        ),
        DistilBertModel(
            DistilBertConfig(vocab_size=50, dim=8, n_layers=3, n_heads=2, hidden_dim=20)
        ),
    ],
    ids=lambda model: model.config.model_type,
)
def test_any_encoders_figures_go_by_the_reports_names(model: Any) -> None:
    assert asdict(describe_model(model)) == {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "embedding_parameters": 400,
        "layers": 3,
        "hidden_size": 8,
        "intermediate_size": 20,
        "vocabulary_size": 50,
    }
