from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

from distill.distillation.states import StateReader, find_projections

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32, "vocab_size": 50}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES),
    "xlm-roberta": XLMRobertaConfig(**SIZES),
    "distilbert": DistilBertConfig(dim=16, n_layers=3, n_heads=4, hidden_dim=32, vocab_size=50),
}
NAMES = {
    "bert": ["encoder.layer.2.attention.self." + name for name in ("query", "key", "value")],
    "xlm-roberta": ["encoder.layer.2.attention.self." + name for name in ("query", "key", "value")],
    "distilbert": ["transformer.layer.2.attention." + name for name in ("q_lin", "k_lin", "v_lin")],
}
every_family = pytest.mark.parametrize("family", CONFIGS)
IDS = torch.randint(5, 50, (2, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])


def model_of(family: str, auto: Any = AutoModel, kernel: str = "sdpa") -> Any:
    torch.manual_seed(0)
    return auto.from_config(CONFIGS[family], attn_implementation=kernel).eval()


@every_family
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM])
def test_projections_are_those_of_the_last_layer_under_every_kernel(family: str, kernel: str, auto: Any) -> None:
    model = model_of(family, auto, kernel)
    with torch.no_grad():
        states = StateReader(model, projections=True)(IDS, MASK)
        expected = [model.base_model.get_submodule(name)(states.hidden[2]) for name in NAMES[family]]
    assert len(states.hidden) == 4
    assert len(states.projections) == 3
    assert all(torch.equal(own, right) for own, right in zip(states.projections, expected, strict=True))


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
    assert model.get_submodule(NAMES["bert"][0]).weight.grad.abs().sum() > 0
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_once_closed_nothing_hangs_on_the_model() -> None:
    model = model_of("bert")
    reader = StateReader(model, projections=True)
    assert any(module._forward_hooks for module in model.modules())
    reader.close()
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    "config",
    [
        ModernBertConfig(**SIZES, pad_token_id=1, cls_token_id=2, sep_token_id=2, eos_token_id=2, bos_token_id=2),
        GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50),
    ],
    ids=lambda config: config.model_type,
)
def test_fused_projections_are_refused_by_name(config: PreTrainedConfig) -> None:
    with pytest.raises(ValueError, match="has no separate query, key and value projections"):
        find_projections(AutoModel.from_config(config))
