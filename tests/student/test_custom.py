from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import StudentSection
from distill.runtime.errors import UserError
from distill.student.check import check_student_section
from distill.student.custom import adopt_model, build_custom, corresponding_layers, custom_config
from distill.student.depth import choose_layers
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.trimming import renumbering, trim_model
from tests.student.test_width import (
    CONFIGS,
    batch,
    every_family,
    every_head,
    layers_of,
    output,
    random_model,
    same_state,
)

SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def overrides(family: str) -> dict[str, Any]:
    return {
        "hidden_dim" if family == "distilbert" and key == "intermediate_size" else key: SMALL[key]
        for key in SMALL
    }


@every_family
@every_head
@pytest.mark.parametrize("weights", ["copied", "random"])
def test_the_student_has_the_config_and_the_stock_class_reloads_it(
    family: str, auto: Any, weights: Any, tmp_path: Path
) -> None:
    student = build_custom(overrides(family), random_model(family, auto), weights=weights, seed=0)
    assert (
        student.config.num_hidden_layers,
        student.config.hidden_size,
        student.config.num_attention_heads,
    ) == (2, 32, 4)
    student.save_pretrained(tmp_path)
    reloaded = auto.from_pretrained(tmp_path)
    assert type(reloaded) is type(student)
    assert torch.equal(output(reloaded, batch()), output(student, batch()))


@every_family
@every_head
def test_a_copy_of_the_teachers_own_config_is_the_teacher(family: str, auto: Any) -> None:
    model = random_model(family, auto)
    assert same_state(build_custom({}, model, weights="copied", seed=0), model)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "distilbert"])
def test_copied_weights_are_leading_slices_of_evenly_spread_layers(family: str) -> None:
    model = random_model(family)
    student = build_custom(overrides(family), model, weights="copied", seed=0)
    assert torch.equal(
        student.get_input_embeddings().weight, model.get_input_embeddings().weight[:, :32]
    )
    for own, layer in zip(layers_of(student), choose_layers(2, 4), strict=True):
        taken = layers_of(model)[layer - 1].state_dict()
        for name, tensor in own.state_dict().items():
            assert torch.equal(tensor, taken[name][tuple(map(slice, tensor.shape))])


def test_fused_projections_are_cut_each_by_itself() -> None:
    model = random_model("modernbert")
    student = build_custom(overrides("modernbert"), model, weights="copied", seed=0)
    wide, slim = (layers_of(each)[-1].attn.Wqkv.weight for each in (model, student))
    for part in range(3):
        assert torch.equal(slim[part * 32 : part * 32 + 32], wide[part * 64 : part * 64 + 32, :32])
    wide, slim = (layers_of(each)[-1].mlp.Wi.weight for each in (model, student))
    for part in range(2):
        assert torch.equal(
            slim[part * 48 : part * 48 + 48], wide[part * 128 : part * 128 + 48, :32]
        )


def test_a_layer_of_modernbert_attends_as_the_one_it_is_a_copy_of() -> None:
    kinds = CONFIGS["modernbert"].layer_types
    assert custom_config({"num_hidden_layers": 2}, CONFIGS["modernbert"]).layer_types == [
        kinds[1],
        kinds[3],
    ]


@every_family
def test_random_weights_follow_from_the_seed_and_have_none_of_the_teachers(family: str) -> None:
    model = random_model(family)
    first, again, other = (
        build_custom({}, model, weights="random", seed=seed) for seed in (0, 0, 1)
    )
    assert same_state(first, again) and not same_state(first, other)
    assert not torch.equal(first.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_random_numbers_drawn_afterwards_are_as_without_it() -> None:
    model = random_model("bert")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    build_custom(overrides("bert"), model, weights="random", seed=0)
    assert torch.equal(torch.rand(4), expected)


def test_embeddings_stay_tied_to_the_head() -> None:
    student = build_custom(
        overrides("bert"), random_model("bert", AutoModelForMaskedLM), weights="copied", seed=0
    )
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_the_vocabulary_and_special_ids_are_the_teachers() -> None:
    config = custom_config(overrides("xlm-roberta"), CONFIGS["xlm-roberta"])
    assert (config.vocab_size, config.pad_token_id) == (200, 1)


@pytest.mark.parametrize(
    ("family", "keys", "message"),
    [
        (
            "bert",
            {"hiden_size": 32},
            "hiden_size is no key of a bert config; the nearest is hidden_size",
        ),
        ("bert", {"model_type": "xlm"}, "model_type is no key of a bert config"),
        ("bert", {"vocab_size": 10}, "vocab_size is the trimmed teacher's and cannot be set"),
        ("bert", {"pad_token_id": 0}, "pad_token_id is the trimmed teacher's and cannot be set"),
        ("bert", {"hidden_size": 30}, "hidden_size 30 is not divisible by num_attention_heads 4"),
        (
            "bert",
            {"num_attention_heads": 5},
            "hidden_size 64 is not divisible by num_attention_heads 5",
        ),
        ("bert", {"hidden_size": "wide"}, "Field 'hidden_size' expected int, got str"),
        ("bert", {"num_hidden_layers": 0}, "num_hidden_layers 0 is smaller than 1"),
        ("bert", {"num_attention_heads": 0}, "num_attention_heads 0 is smaller than 1"),
        ("bert", {"hidden_act": "gelo"}, "no model of this config: .*gelo"),
        (
            "bert",
            {"num_hidden_layers": 5},
            "cannot be deeper than its teacher: num_hidden_layers 5, and the teacher has 4",
        ),
        ("distilbert", {"n_layers": 5}, "cannot be deeper than its teacher"),
        (
            "distilbert",
            {"dim": 32, "hidden_size": 32},
            "hidden_size and dim are the same; choose one",
        ),
        (
            "modernbert",
            {"hidden_size": 36},
            "makes 4 heads of 9; rotary positions need an even size",
        ),
        ("modernbert", {"layer_types": ["full_attention"]}, "layer_types"),
    ],
)
def test_a_config_that_cannot_be_is_refused(
    family: str, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        custom_config(keys, CONFIGS[family])
    with pytest.raises(ValueError, match=message):
        check_student_section(StudentSection(config=keys), CONFIGS[family])


@every_family
def test_making_a_config_leaves_the_teachers_as_it_was(family: str) -> None:
    before = CONFIGS[family].to_dict()
    custom_config(overrides(family), CONFIGS[family])
    assert CONFIGS[family].to_dict() == before


@pytest.mark.parametrize(
    "section",
    [
        {"layers": 2},
        {"layers": 4, "hidden_size": 32},
        {"config": {"hidden_act": "relu"}},
        {"model": "some/model"},
    ],
)
def test_a_possible_student_is_accepted(section: dict[str, Any]) -> None:
    check_student_section(StudentSection.model_validate(section), CONFIGS["bert"])


def test_every_reason_against_a_student_is_given() -> None:
    message = "6 layers are more than the teacher's 4\nhidden_size 64 is the teacher's own"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_student_section(StudentSection(hidden_size=64), CONFIGS["bert"])


@pytest.fixture
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture
def trimmed(teacher: LoadedModel) -> tuple[LoadedModel, dict[int, int]]:
    """The teacher with every other of its pieces, and where these went."""
    vocabulary = open_vocabulary(teacher.tokenizer)
    new_ids = renumbering(
        vocabulary.special
        | {i for i in vocabulary.ids.values() if i % 2}
        | vocabulary.alphabet("abcdeåäö")
    )
    return LoadedModel(
        model=trim_model(teacher.model, new_ids), tokenizer=vocabulary.trim(new_ids)
    ), new_ids


def test_an_existing_model_of_the_trimmed_vocabulary_is_taken_as_it_is(
    trimmed: tuple[LoadedModel, dict[int, int]],
) -> None:
    model = AutoModel.from_config(trimmed[0].model.config)
    existing = LoadedModel(model=model, tokenizer=trimmed[0].tokenizer)
    assert adopt_model(existing, trimmed=trimmed[0]) is model


def test_an_existing_model_of_the_teachers_vocabulary_is_trimmed_as_the_teacher_was(
    teacher: LoadedModel, trimmed: tuple[LoadedModel, dict[int, int]]
) -> None:
    student = adopt_model(
        teacher, trimmed=trimmed[0], untrimmed_vocabulary=teacher.tokenizer.get_vocab()
    )
    assert same_state(student, trimmed[0].model)
    assert len(student.get_input_embeddings().weight) == len(trimmed[1]) < 600


def test_an_existing_model_of_another_vocabulary_is_refused(
    teacher: LoadedModel, trimmed: tuple[LoadedModel, dict[int, int]]
) -> None:
    with pytest.raises(UserError, match=r"student\.model: .* is another one than the teacher's"):
        adopt_model(trimmed[0], trimmed=teacher, untrimmed_vocabulary=teacher.tokenizer.get_vocab())
    with pytest.raises(UserError, match="another one"):
        adopt_model(teacher, trimmed=trimmed[0])


def test_layers_correspond_to_evenly_spread_ones() -> None:
    assert corresponding_layers(2, 4) == [2, 4]


def test_a_student_deeper_than_its_teacher_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"it has 5 layers and the teacher 4; a student cannot be deeper"
    ):
        corresponding_layers(5, 4)
