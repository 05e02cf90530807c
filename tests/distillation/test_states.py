from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

from distill.distillation.states import StateReader, find_projections

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "vocab_size": 50,
}
EDGES = {
    "pad_token_id": 1,
    "cls_token_id": 2,
    "sep_token_id": 2,
    "eos_token_id": 2,
    "bos_token_id": 2,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES),
    "xlm-roberta": XLMRobertaConfig(**SIZES),
    "distilbert": DistilBertConfig(dim=16, n_layers=3, n_heads=4, hidden_dim=32, vocab_size=50),
    # Sliding windows of 2 to each side, as only in longer texts of the real one.
    "modernbert": ModernBertConfig(**SIZES, **EDGES, local_attention=4),
    "deberta-v2": DebertaV2Config(**SIZES),
}
NAMES = {
    "bert": ["encoder.layer.{}.attention.self." + name for name in ("query", "key", "value")],
    "xlm-roberta": [
        "encoder.layer.{}.attention.self." + name for name in ("query", "key", "value")
    ],
    "distilbert": [
        "transformer.layer.{}.attention." + name for name in ("q_lin", "k_lin", "v_lin")
    ],
    "deberta-v2": [
        "encoder.layer.{}.attention.self." + name
        for name in ("query_proj", "key_proj", "value_proj")
    ],
}
KERNELS = [
    (family, kernel)
    for family in CONFIGS
    for kernel in ("sdpa", "eager")
    if (family, kernel) != ("deberta-v2", "sdpa")
]
every_kernel = pytest.mark.parametrize(("family", "kernel"), KERNELS)
every_family = pytest.mark.parametrize("family", CONFIGS)
IDS = torch.randint(5, 50, (2, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])


def model_of(family: str, auto: Any = AutoModel, kernel: str = "eager") -> Any:
    torch.manual_seed(0)
    return auto.from_config(CONFIGS[family], attn_implementation=kernel).eval()


def projections_by_hand(
    model: Any, family: str, hidden: tuple[torch.Tensor, ...], layer: int
) -> list[torch.Tensor]:
    """Query, key and value of a layer, counted from 1, out of the states below it."""
    encoder, below = model.base_model, hidden[layer - 1]
    if family != "modernbert":
        return [encoder.get_submodule(name.format(layer - 1))(below) for name in NAMES[family]]
    attention = encoder.layers[layer - 1]
    weights = attention.attn.Wqkv.weight.view(
        3, 16, 16
    )  # query, key, value: as the model's own view(..., 3, heads, width)
    return [attention.attn_norm(below) @ weight.T for weight in weights]


@every_kernel
@pytest.mark.parametrize("layer", [None, 1, 2, 3])
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM])
def test_projections_are_those_of_the_layer_under_every_kernel(
    family: str, kernel: str, auto: Any, layer: int | None
) -> None:
    model = model_of(family, auto, kernel)
    with torch.no_grad():
        states = StateReader(model, projections=True, layer=layer)(IDS, MASK)
        expected = projections_by_hand(model, family, states.hidden, layer or 3)
    assert len(states.hidden) == 4
    assert [projection.shape for projection in states.projections] == [(2, 7, 16)] * 3
    for own, right in zip(states.projections, expected, strict=True):
        torch.testing.assert_close(own, right)


@every_kernel
def test_hidden_states_are_padded_whatever_the_kernel(family: str, kernel: str) -> None:
    states = StateReader(model_of(family, kernel=kernel), projections=False)(IDS, MASK)
    assert [hidden.shape for hidden in states.hidden] == [(2, 7, 16)] * 4


@every_family
def test_attentions_are_every_layers_probabilities_over_real_tokens(family: str) -> None:
    model = model_of(family, AutoModelForMaskedLM)
    states = StateReader(model, projections=False, attentions=True)(IDS, MASK)
    assert [attention.shape for attention in states.attentions] == [(2, 4, 7, 7)] * 3
    for attention in states.attentions:
        real = attention[1, :, :4]
        torch.testing.assert_close(real.sum(-1), torch.ones(4, 4))
        assert not real[:, :, 4:].any()


@every_family
def test_reading_attentions_changes_no_other_state(family: str) -> None:
    model = model_of(family)
    without, with_them = (
        StateReader(model, projections=True, attentions=read)(IDS, MASK) for read in (False, True)
    )
    assert without.attentions == ()
    for one, other in zip(
        without.hidden + without.projections, with_them.hidden + with_them.projections, strict=True
    ):
        assert torch.equal(one, other)


def test_the_gradient_flows_through_attentions() -> None:
    model = model_of("bert")
    StateReader(model, projections=False, attentions=True)(IDS, MASK).attentions[
        1
    ].square().sum().backward()
    assert model.encoder.layer[1].attention.self.query.weight.grad.abs().sum() > 0


def test_attentions_are_refused_under_another_kernel_than_the_eager_one() -> None:
    with pytest.raises(
        ValueError,
        match="BertModel runs the attention kernel sdpa, and only the eager one gives attentions",
    ):
        StateReader(model_of("bert", kernel="sdpa"), projections=False, attentions=True)


def test_attentions_are_refused_if_the_kernel_is_changed_later() -> None:
    model = model_of("bert")
    reader = StateReader(model, projections=False, attentions=True)
    model.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="runs the attention kernel sdpa"):
        reader(IDS, MASK)


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_layer_that_the_model_has_not_is_refused(layer: int) -> None:
    with pytest.raises(ValueError, match=f"projections of 3 layers, not of {layer}"):
        find_projections(model_of("bert"), layer)


@every_family
def test_hidden_states_are_the_models_own(family: str) -> None:
    model = model_of(family)
    with torch.no_grad():
        states = StateReader(model, projections=False)(IDS, MASK)
        expected = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.equal(states.last, expected)
    assert states.projections == ()


def test_gradients_flow_through_the_projections() -> None:
    model = model_of("bert")
    StateReader(model, projections=True)(IDS, MASK).projections[0].sum().backward()
    assert model.get_submodule(NAMES["bert"][0].format(2)).weight.grad.abs().sum() > 0
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_once_closed_nothing_hangs_on_the_model() -> None:
    model = model_of("bert")
    reader = StateReader(model, projections=True)
    assert any(module._forward_hooks for module in model.modules())
    reader.close()
    assert not any(module._forward_hooks for module in model.modules())


def test_projections_of_an_unknown_build_are_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match="GPT2Model has no query, key and value projections of known name"
    ):
        find_projections(
            AutoModel.from_config(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50))
        )
