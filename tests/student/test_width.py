from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    XLMRobertaConfig,
)

from distill.models.layers import layer_list_name
from distill.student.width import check_width, narrow, step_sizes, step_widths

HIDDEN, HEAD, FEED_FORWARD = 64, 16, 128
SIZES = {
    "hidden_size": HIDDEN,
    "num_attention_heads": 4,
    "intermediate_size": FEED_FORWARD,
    "num_hidden_layers": 4,
}
COMMON = {"vocab_size": 200, "max_position_embeddings": 80, "pad_token_id": 1}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES, **COMMON),
    "xlm-roberta": XLMRobertaConfig(**SIZES, **COMMON),
    "distilbert": DistilBertConfig(
        dim=HIDDEN, n_heads=4, hidden_dim=FEED_FORWARD, n_layers=4, **COMMON
    ),
    "modernbert": ModernBertConfig(**SIZES, **COMMON, **SPECIAL),
}
# Within a layer: what reads the attention's input, its output, and the feed-forward's way up and
# down.
BERT_PARTS = (
    ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
PARTS = {
    "bert": BERT_PARTS,
    "xlm-roberta": BERT_PARTS,
    "distilbert": (
        ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
    ),
    "modernbert": (["attn.Wqkv"], "attn.Wo", "mlp.Wi", "mlp.Wo"),
}
every_family = pytest.mark.parametrize("family", CONFIGS)
every_head = pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM])
every_importance = pytest.mark.parametrize("importance", ["magnitude", "taylor"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_model(family: str, auto: Any = AutoModel) -> Any:
    """A model no weight of which is 0 or 1, as biases and LayerNorms of a fresh one are."""
    torch.manual_seed(0)
    model = auto.from_config(copy.deepcopy(CONFIGS[family])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def batch(length: int = 12) -> tuple[Tensor, Tensor]:
    ids_BL = torch.randint(5, 200, (2, length), generator=torch.Generator().manual_seed(1))
    mask_BL = torch.ones_like(ids_BL)
    mask_BL[1, length // 2 + 1 :] = 0
    return ids_BL, mask_BL


@torch.no_grad()
def output(model: PreTrainedModel, example: tuple[Tensor, Tensor]) -> Tensor:
    """The logits, or without a head the last hidden states."""
    first: Tensor = model(input_ids=example[0], attention_mask=example[1])[0]
    return first


def layers_of(model: PreTrainedModel) -> Any:
    return model.base_model.get_submodule(layer_list_name(model.base_model))


def rows(linear: nn.Linear, units: list[int], width: int) -> list[int]:
    """The rows of these units in a projection, which ModernBERT fuses out of two or three."""
    return [part * width + unit for part in range(linear.out_features // width) for unit in units]


def silence(reading: list[nn.Linear], writing: nn.Linear, units: list[int]) -> None:
    """Sets all weights of these units to 0, between the projections that make them and the one that
    uses them.
    """
    with torch.no_grad():
        for linear in reading:
            for parameter in linear.parameters():
                parameter[rows(linear, units, writing.in_features)] = 0
        writing.weight[:, units] = 0


def gradients(model: PreTrainedModel) -> None:
    """Those of a sum, weighted at random, of what the model gives."""
    ids_BL, mask_BL = batch()
    given = model(input_ids=ids_BL, attention_mask=mask_BL)[0]
    (given * torch.randn(given.shape, generator=torch.Generator().manual_seed(2))).sum().backward()


def others(units: list[int], width: int) -> list[int]:
    return [unit for unit in range(width) if unit not in units]


def same_state(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    one_state, other_state = one.state_dict(), other.state_dict()
    return one_state.keys() == other_state.keys() and all(
        torch.equal(one_state[k], other_state[k]) for k in one_state
    )


@every_family
@every_head
@every_importance
def test_pruning_silent_feed_forward_units_leaves_the_output_as_it_was(
    family: str, auto: Any, importance: Any
) -> None:
    model = random_model(family, auto)
    _, _, up, down = PARTS[family]
    silent = [list(range(i, FEED_FORWARD, 3)) for i in range(4)]
    for layer, units in zip(layers_of(model), silent, strict=True):
        silence([layer.get_submodule(up)], layer.get_submodule(down), units)
    kept = FEED_FORWARD - min(map(len, silent))
    student = narrow(
        model,
        hidden_size=None,
        intermediate_size=kept,
        example=batch(),
        importance=importance,
        gradients=gradients,
    )
    assert layers_of(student)[0].get_submodule(down).in_features == kept < FEED_FORWARD
    torch.testing.assert_close(output(student, batch()), output(model, batch()), rtol=0, atol=1e-6)


@every_family
@every_importance
def test_the_quietest_head_of_each_layer_and_the_quietest_hidden_units_are_pruned(
    family: str, importance: Any
) -> None:
    model = random_model(family)
    reading, attention_output, _, _ = PARTS[family]
    quiet = [3, *range(10, 25)]
    kept_hidden = others(quiet, HIDDEN)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm | nn.Embedding):
                module.weight[..., quiet] = 0
            elif isinstance(module, nn.Linear):
                module.weight[:, quiet] *= 1 if module.in_features != HIDDEN else 0
                module.weight[quiet] *= 1 if module.out_features != HIDDEN else 0
    head_of_layer = [2, 0, 3, 1]
    for layer, head in zip(layers_of(model), head_of_layer, strict=True):
        units = list(range(head * HEAD, head * HEAD + HEAD))
        silence(
            [layer.get_submodule(name) for name in reading],
            layer.get_submodule(attention_output),
            units,
        )

    student = narrow(
        model,
        hidden_size=HIDDEN - HEAD,
        intermediate_size=None,
        example=batch(),
        importance=importance,
        gradients=gradients,
    )
    embedding, narrow_embedding = (
        model.get_input_embeddings().weight,
        student.get_input_embeddings().weight,
    )
    assert torch.equal(narrow_embedding, embedding[:, kept_hidden])
    for layer, narrow_layer, head in zip(
        layers_of(model), layers_of(student), head_of_layer, strict=True
    ):
        kept = others(list(range(head * HEAD, head * HEAD + HEAD)), HIDDEN)
        for name in reading:
            wide, slim = layer.get_submodule(name), narrow_layer.get_submodule(name)
            assert torch.equal(slim.weight, wide.weight[rows(wide, kept, HIDDEN)][:, kept_hidden])
        wide, slim = (
            layer.get_submodule(attention_output),
            narrow_layer.get_submodule(attention_output),
        )
        assert torch.equal(slim.weight, wide.weight[kept_hidden][:, kept])


@every_family
def test_heads_are_pruned_whole(family: str) -> None:
    model = random_model(family)
    attention_output = PARTS[family][1]
    # Every column has its number, which tells where it went.
    numbers = 1 + torch.arange(HIDDEN) / 1000
    with torch.no_grad():
        for layer in layers_of(model):
            layer.get_submodule(attention_output).weight.copy_(numbers.expand(HIDDEN, HIDDEN))
    student = narrow(model, hidden_size=32, intermediate_size=None, example=batch())
    for layer in layers_of(student):
        kept_of_head = layer.get_submodule(attention_output).weight[0].view(2, HEAD)
        assert all(kept.tolist() in numbers.view(4, HEAD).tolist() for kept in kept_of_head)


@every_family
def test_a_head_is_quiet_if_only_its_values_are(family: str) -> None:
    model = random_model(family)
    reading = PARTS[family][0]
    for layer in layers_of(model):
        values = layer.get_submodule(reading[-1])
        with torch.no_grad():
            values.weight[values.out_features - HEAD :] = 0
    student = narrow(model, hidden_size=48, intermediate_size=None, example=batch())
    for layer in layers_of(student):
        values = layer.get_submodule(reading[-1])
        assert values.weight[values.out_features - HEAD :].abs().sum() > 0


@every_family
@pytest.mark.parametrize(
    ("hidden_size", "intermediate_size"), [(32, 40), (48, None), (None, 1), (64, 40)]
)
def test_the_config_says_the_sizes_asked_for_and_the_others_as_they_were(
    family: str, hidden_size: int | None, intermediate_size: int | None
) -> None:
    student = narrow(
        random_model(family),
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        example=batch(),
    )
    feed_forward = layers_of(student)[3].get_submodule(PARTS[family][3])
    key = "hidden_dim" if family == "distilbert" else "intermediate_size"
    assert student.config.hidden_size == feed_forward.out_features == (hidden_size or HIDDEN)
    assert student.config.num_attention_heads == (hidden_size or HIDDEN) // HEAD
    assert (
        getattr(student.config, key)
        == feed_forward.in_features
        == (intermediate_size or FEED_FORWARD)
    )
    assert student.config.num_hidden_layers == 4
    assert output(student, batch()).shape == (2, 12, hidden_size or HIDDEN)


@every_family
@every_head
def test_the_stock_class_reloads_it_to_the_last_bit(family: str, auto: Any, tmp_path: Path) -> None:
    student = narrow(
        random_model(family, auto), hidden_size=32, intermediate_size=40, example=batch()
    )
    student.save_pretrained(tmp_path)
    reloaded = auto.from_pretrained(tmp_path)
    assert type(reloaded) is type(student)
    assert same_state(reloaded, student)
    assert torch.equal(output(reloaded, batch()), output(student, batch()))


@every_family
def test_embeddings_stay_tied_to_the_head(family: str) -> None:
    student = narrow(
        random_model(family, AutoModelForMaskedLM),
        hidden_size=32,
        intermediate_size=40,
        example=batch(),
    )
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_an_untied_head_keeps_the_same_units_as_the_embeddings() -> None:
    model = AutoModelForMaskedLM.from_config(
        BertConfig(**SIZES, **COMMON, tie_word_embeddings=False)
    )
    with torch.no_grad():
        model.get_output_embeddings().weight.copy_(model.get_input_embeddings().weight)
    student = narrow(model, hidden_size=32, intermediate_size=None, example=batch())
    assert student.get_output_embeddings().weight is not student.get_input_embeddings().weight
    assert torch.equal(
        student.get_output_embeddings().weight, student.get_input_embeddings().weight
    )


def test_the_head_and_the_pooler_keep_the_encoders_units() -> None:
    masked, bare = random_model("xlm-roberta", AutoModelForMaskedLM), random_model("xlm-roberta")
    bare.load_state_dict(masked.base_model.state_dict(), strict=False)
    # Every hidden unit has its number, which tells where it went.
    numbers = torch.arange(HIDDEN, dtype=torch.float32)
    with torch.no_grad():
        for model in (masked, bare):
            model.get_input_embeddings().weight[7] = numbers
        masked.lm_head.dense.weight.copy_(numbers[:, None] * 100 + numbers)
        bare.pooler.dense.weight.copy_(numbers[:, None] * 100 + numbers)
    masked, bare = (
        narrow(model, hidden_size=32, intermediate_size=None, example=batch())
        for model in (masked, bare)
    )
    kept = masked.get_input_embeddings().weight[7]
    assert torch.equal(bare.get_input_embeddings().weight[7], kept)
    assert torch.equal(masked.lm_head.dense.weight, kept[:, None] * 100 + kept)
    assert torch.equal(bare.pooler.dense.weight, kept[:, None] * 100 + kept)


@every_family
def test_taylor_prunes_what_the_loss_does_not_feel_however_large_its_weights(family: str) -> None:
    model = random_model(family)
    _, _, up, down = PARTS[family]
    unfelt = list(range(0, FEED_FORWARD, 2))
    for layer in layers_of(model):
        with torch.no_grad():
            rising = layer.get_submodule(up)
            rising.weight[rows(rising, unfelt, FEED_FORWARD)] *= 100
            layer.get_submodule(down).weight[:, unfelt] = 0
    by_taylor, by_magnitude = (
        narrow(
            model,
            hidden_size=None,
            intermediate_size=FEED_FORWARD // 2,
            example=batch(),
            importance=importance,
            gradients=gradients,
        )
        for importance in ("taylor", "magnitude")
    )
    torch.testing.assert_close(
        output(by_taylor, batch()), output(model, batch()), rtol=0, atol=1e-6
    )
    assert (output(by_magnitude, batch()) - output(model, batch())).abs().max() > 0.01


@every_family
@every_head
def test_taylor_leaves_a_stock_model_with_its_embeddings_tied(
    family: str, auto: Any, tmp_path: Path
) -> None:
    student = narrow(
        random_model(family, auto),
        hidden_size=32,
        intermediate_size=40,
        example=batch(),
        importance="taylor",
        gradients=gradients,
    )
    student.save_pretrained(tmp_path)
    reloaded = auto.from_pretrained(tmp_path)
    assert torch.equal(output(reloaded, batch()), output(student, batch()))
    if auto is AutoModelForMaskedLM:
        assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_gradients_go_to_a_copy_and_stay_out_of_the_student() -> None:
    model = random_model("bert").requires_grad_(False)
    with torch.no_grad():
        student = narrow(
            model,
            hidden_size=32,
            intermediate_size=40,
            example=batch(),
            importance="taylor",
            gradients=gradients,
        )
    assert all(parameter.grad is None for parameter in (*model.parameters(), *student.parameters()))


def test_taylor_without_gradients_is_refused() -> None:
    with pytest.raises(ValueError, match="importance taylor needs gradients"):
        narrow(
            random_model("bert"),
            hidden_size=32,
            intermediate_size=None,
            example=batch(),
            importance="taylor",
        )


@every_family
def test_no_sizes_give_an_equal_copy(family: str) -> None:
    model = random_model(family, AutoModelForMaskedLM)
    student = narrow(model, hidden_size=None, intermediate_size=None, example=batch())
    assert same_state(student, model)
    assert torch.equal(output(student, batch()), output(model, batch()))
    assert not {p.data_ptr() for p in student.parameters()} & {
        p.data_ptr() for p in model.parameters()
    }


@pytest.mark.parametrize(
    ("start", "end", "steps", "multiple", "sizes"),
    [
        (12, 6, 3, 1, [10, 8, 6]),
        (100, 33, 1, 1, [33]),
        (
            768,
            384,
            4,
            64,
            [640, 576, 512, 384],
        ),  # 672 lies between 640 and 704, and a half rounds to the even number
        (128, 64, 4, 64, [128, 128, 64, 64]),
        (10, 10, 2, 1, [10, 10]),
    ],
)
def test_sizes_fall_evenly_in_whole_multiples(
    start: int, end: int, steps: int, multiple: int, sizes: list[int]
) -> None:
    assert step_sizes(start, end, steps, multiple) == sizes


@given(data=st.data(), steps=st.integers(1, 40), multiple=st.integers(1, 64))
def test_sizes_end_at_the_size_asked_for_and_never_rise(
    data: st.DataObject, steps: int, multiple: int
) -> None:
    end = data.draw(st.integers(1, 40))
    start = data.draw(st.integers(end, 60))
    sizes = step_sizes(start * multiple, end * multiple, steps, multiple)
    assert len(sizes) == steps and sizes[-1] == end * multiple
    assert sorted(sizes, reverse=True) == sizes and sizes[0] <= start * multiple
    assert not any(size % multiple for size in sizes)


@every_family
def test_both_sizes_fall_together_and_each_step_prunes_something(family: str) -> None:
    config = CONFIGS[family]
    assert step_widths(config, hidden_size=32, intermediate_size=64, steps=4) == [
        (64, 112),
        (48, 96),
        (32, 80),
        (32, 64),
    ]
    assert step_widths(config, hidden_size=32, intermediate_size=None, steps=8) == [
        (48, 128),
        (32, 128),
    ]
    assert step_widths(config, hidden_size=None, intermediate_size=126, steps=2) == [
        (64, 127),
        (64, 126),
    ]


@every_family
def test_the_original_model_is_not_modified(family: str) -> None:
    model = random_model(family, AutoModelForMaskedLM).train().requires_grad_(False)
    before = copy.deepcopy(model)
    narrow(model, hidden_size=32, intermediate_size=40, example=batch())
    assert same_state(model, before)
    assert model.config.to_dict() == before.config.to_dict()
    assert model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@every_family
@pytest.mark.parametrize("length", [1, 64])
def test_the_units_kept_do_not_depend_on_the_example(family: str, length: int) -> None:
    model = random_model(family)
    student = narrow(model, hidden_size=32, intermediate_size=40, example=batch())
    assert same_state(
        student, narrow(model, hidden_size=32, intermediate_size=40, example=batch(length))
    )


@every_family
def test_a_frozen_bfloat16_teacher_gives_a_float32_student_in_eval(family: str) -> None:
    model = random_model(family).to(torch.bfloat16).train().requires_grad_(False)
    model.config.dtype = torch.bfloat16
    with torch.no_grad():
        student = narrow(model, hidden_size=32, intermediate_size=40, example=batch())
    assert {parameter.dtype for parameter in student.parameters()} == {torch.float32}
    assert same_state(
        student, narrow(model.float(), hidden_size=32, intermediate_size=40, example=batch())
    )
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not student.training


def test_random_numbers_drawn_afterwards_are_as_without_it() -> None:
    model = random_model("bert")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    narrow(model, hidden_size=32, intermediate_size=40, example=batch())
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(
    ("hidden_size", "intermediate_size", "message"),
    [
        (
            400,
            None,
            "hidden_size 400 is not divisible into heads of 64, the teacher's head size; 384 or "
            "448 would be",
        ),
        (
            63,
            None,
            "hidden_size 63 is not divisible into heads of 64, the teacher's head size; 64 would "
            "be",
        ),
        (832, None, "hidden_size 832 is larger than the teacher's 768"),
        (0, None, "hidden_size 0 is smaller than 1"),
        (None, 3073, "intermediate_size 3073 is larger than the teacher's 3072"),
        (None, 0, "intermediate_size 0 is smaller than 1"),
        (384, -8, "intermediate_size -8 is smaller than 1"),
        (
            768,
            None,
            "hidden_size 768 is the teacher's own; nothing would be pruned: give a smaller size, "
            "or none",
        ),
        (
            768,
            3072,
            "hidden_size 768 and intermediate_size 3072 are the teacher's own; nothing would be "
            "pruned",
        ),
    ],
)
@pytest.mark.parametrize(
    "config",
    [BertConfig(), XLMRobertaConfig(), DistilBertConfig()],
    ids=lambda config: config.model_type,
)
def test_impossible_sizes_are_refused(
    config: PreTrainedConfig, hidden_size: int | None, intermediate_size: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_width(config, hidden_size=hidden_size, intermediate_size=intermediate_size)


@every_family
def test_possible_sizes_are_accepted(family: str) -> None:
    for hidden_size, intermediate_size in (
        (None, None),
        (HEAD, 1),
        (HIDDEN, 40),
        (48, FEED_FORWARD),
        (48, None),
        (None, 127),
    ):
        check_width(CONFIGS[family], hidden_size=hidden_size, intermediate_size=intermediate_size)


def test_narrowing_refuses_impossible_sizes_too() -> None:
    with pytest.raises(ValueError, match="40 is not divisible into heads of 16"):
        narrow(random_model("bert"), hidden_size=40, intermediate_size=None, example=batch())


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="architecture gpt2; known are bert"):
        check_width(GPT2Config(), hidden_size=384, intermediate_size=None)
