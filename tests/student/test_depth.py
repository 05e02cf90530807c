from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

from distill.models.layers import layer_list_name
from distill.student.depth import check_layers, choose_layers, keep_layers, untrained_copy

SIZES = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_hidden_layers": 7,
}
COMMON = {"vocab_size": 90, "max_position_embeddings": 60, "pad_token_id": 1}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES, **COMMON),
    "xlm-roberta": XLMRobertaConfig(**SIZES, **COMMON),
    "distilbert": DistilBertConfig(dim=32, n_heads=4, hidden_dim=48, n_layers=7, **COMMON),
    "modernbert": ModernBertConfig(**SIZES, **COMMON, **SPECIAL, local_attention=4),
}
every_family = pytest.mark.parametrize("family", CONFIGS)
every_head = pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM])
IDS = torch.randint(5, 90, (2, 20), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 20, [1] * 12 + [0] * 8])


def random_model(family: str, auto: Any = AutoModel) -> Any:
    """A model no weight of which is 0 or 1, as biases and LayerNorms of a fresh one are."""
    torch.manual_seed(0)
    model = auto.from_config(copy.deepcopy(CONFIGS[family])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@torch.no_grad()
def hidden_states(model: Any) -> tuple[Tensor, ...]:
    states: tuple[Tensor, ...] = model(
        input_ids=IDS, attention_mask=MASK, output_hidden_states=True
    ).hidden_states
    return states


def layers_of(model: Any) -> Any:
    return model.get_submodule(layer_list_name(model))


def state_of(module: Any) -> dict[str, Tensor]:
    return dict(module.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("layers", "teacher_layers", "chosen"),
    [
        (6, 12, [2, 4, 6, 8, 10, 12]),
        (4, 12, [3, 6, 9, 12]),
        (12, 12, list(range(1, 13))),
        (1, 12, [12]),
        (5, 12, [2, 5, 7, 10, 12]),
        (2, 3, [2, 3]),
        (12, 24, list(range(2, 25, 2))),
    ],
)
def test_a_count_is_spread_evenly(layers: int, teacher_layers: int, chosen: list[int]) -> None:
    assert choose_layers(layers, teacher_layers) == chosen


@given(teacher_layers=st.integers(1, 100), data=st.data())
def test_any_count_gives_so_many_rising_layers_with_the_last_among_them(
    teacher_layers: int, data: st.DataObject
) -> None:
    layers = data.draw(st.integers(1, teacher_layers))
    chosen = choose_layers(layers, teacher_layers)
    assert len(chosen) == layers
    assert chosen == sorted(set(chosen))
    assert chosen[0] >= 1 and chosen[-1] == teacher_layers


@given(teacher_layers=st.integers(1, 100), data=st.data())
def test_the_gaps_between_the_layers_differ_by_one_at_most(
    teacher_layers: int, data: st.DataObject
) -> None:
    chosen = choose_layers(data.draw(st.integers(1, teacher_layers)), teacher_layers)
    gaps = [b - a for a, b in zip([0, *chosen], chosen, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_a_list_is_taken_as_it_is() -> None:
    assert choose_layers([1, 5, 6], 12) == [1, 5, 6]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (13, "13 layers are more than the teacher's 12"),
        ([2, 13], "layer 13 is named and the teacher has 12"),
    ],
)
def test_more_layers_than_the_teacher_has_are_refused(
    layers: int | list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        choose_layers(layers, 12)


@every_family
@every_head
def test_a_student_of_all_layers_has_the_teachers_hidden_states_to_the_last_bit(
    family: str, auto: Any
) -> None:
    model = random_model(family, auto)
    student = keep_layers(model, range(1, 8))
    for own, expected in zip(hidden_states(student), hidden_states(model), strict=True):
        assert torch.equal(own, expected)


@every_family
@every_head
@pytest.mark.parametrize("layers", [[1, 4, 7], [1], [1, 2, 6]])
def test_kept_layers_and_everything_around_them_are_copies(
    family: str, auto: Any, layers: list[int]
) -> None:
    model = random_model(family, auto)
    student = keep_layers(model, layers)
    assert len(layers_of(student)) == student.config.num_hidden_layers == len(layers)
    for own, layer in zip(layers_of(student), layers, strict=True):
        assert same(state_of(own), state_of(layers_of(model)[layer - 1]))
    prefix = layer_list_name(model) + "."
    around, own_around = (
        {key: value for key, value in state_of(m).items() if not key.startswith(prefix)}
        for m in (model, student)
    )
    assert same(around, own_around)
    assert not {p.data_ptr() for p in student.parameters()} & {
        p.data_ptr() for p in model.parameters()
    }


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "distilbert"])
def test_any_layer_may_come_first(family: str) -> None:
    model = random_model(family)
    student = keep_layers(model, [3, 7])
    assert same(state_of(layers_of(student)[0]), state_of(layers_of(model)[2]))


@every_family
def test_the_student_computes_what_the_teacher_would_without_the_other_layers(family: str) -> None:
    model, layers = random_model(family), [1, 3, 4, 7]
    student = keep_layers(model, layers)
    expected = copy.deepcopy(model)
    for index, layer in enumerate(layers_of(expected), start=1):
        if index not in layers:
            layer.forward = _unchanged
    torch.testing.assert_close(
        hidden_states(student)[-1], hidden_states(expected)[-1], rtol=0, atol=0
    )


def _unchanged(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    return hidden_states


@every_family
def test_embeddings_stay_tied_to_the_head(family: str) -> None:
    student = keep_layers(random_model(family, AutoModelForMaskedLM), [1, 4])
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


@every_family
@every_head
def test_the_stock_class_reloads_it_to_the_last_bit(family: str, auto: Any, tmp_path: Path) -> None:
    student = keep_layers(random_model(family, auto), [1, 3, 5])
    student.save_pretrained(tmp_path)
    reloaded = auto.from_pretrained(tmp_path)
    assert same(state_of(reloaded), state_of(student))
    for own, expected in zip(hidden_states(reloaded), hidden_states(student), strict=True):
        assert torch.equal(own, expected)


@every_family
def test_the_original_model_is_not_modified(family: str) -> None:
    model = random_model(family).train()
    before, config = copy.deepcopy(state_of(model)), copy.deepcopy(model.config.to_dict())
    student = keep_layers(model, [1, 4])
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert same(state_of(model), before)
    assert model.config.to_dict() == config
    assert model.training and not student.training


def test_each_layer_of_modernbert_attends_as_it_did_in_the_teacher(tmp_path: Path) -> None:
    model = random_model("modernbert")
    student = keep_layers(model, [1, 2, 4, 7])
    assert student.config.layer_types == [
        "full_attention",
        "sliding_attention",
        "full_attention",
        "full_attention",
    ]
    student.save_pretrained(tmp_path)
    assert (
        json.loads((tmp_path / "config.json").read_text())["layer_types"]
        == student.config.layer_types
    )


def test_modernbert_without_its_first_layer_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"layer 2 cannot be the first of a ModernBERT.*a list that starts with 1"
    ):
        keep_layers(random_model("modernbert"), [2, 4])


@every_family
def test_possible_layers_are_accepted(family: str) -> None:
    check_layers(CONFIGS[family], [1, 4, 7])


@every_family
@every_head
def test_the_list_of_layers_is_found(family: str, auto: Any) -> None:
    model = random_model(family, auto)
    assert len(model.get_submodule(layer_list_name(model))) == 7


def test_a_model_without_a_list_of_layers_is_refused_by_name() -> None:
    model = random_model("bert")
    model.config.num_hidden_layers = 5
    with pytest.raises(ValueError, match="BertModel has no list of 5 layers"):
        layer_list_name(model)


@every_family
def test_an_untrained_copy_has_the_shape_and_none_of_the_weights(family: str) -> None:
    model = random_model(family)
    fresh = untrained_copy(model, 0)
    assert {key: tensor.shape for key, tensor in state_of(fresh).items()} == {
        k: t.shape for k, t in state_of(model).items()
    }
    assert not torch.equal(fresh.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert same(state_of(fresh), state_of(untrained_copy(model, 0)))
    assert not same(state_of(fresh), state_of(untrained_copy(model, 1)))


def test_random_numbers_drawn_after_an_untrained_copy_are_as_without_it() -> None:
    model = random_model("bert")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    untrained_copy(model, 0)
    assert torch.equal(torch.rand(4), expected)
