"""A model or tokenizer that is not what its files say is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from distill.models import load_model
from distill.models.loading import load_tokenizer
from distill.runtime.errors import UserError
from tests.conftest import as_xlm_r

LAYER = "encoder.layer.1.output.dense.weight"
Weights = dict[str, torch.Tensor]


@pytest.fixture
def changed(tiny_teacher: Path, tmp_path: Path) -> Callable[[Callable[[Weights], Weights]], str]:
    """`changed(change)`: a copy of the tiny teacher with other weights."""

    def changed(change: Callable[[Weights], Weights]) -> str:
        folder = tmp_path / "changed"
        shutil.copytree(tiny_teacher, folder)
        weights = load_file(folder / "model.safetensors")
        save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
        return str(folder)

    return changed


def test_a_weight_that_the_file_lacks_is_named(changed):
    folder = changed(lambda weights: {name: weights[name] for name in weights if name != LAYER})
    with pytest.raises(UserError, match=rf"lacks 1 of the \d+ weights .*{LAYER}"):
        load_model(folder)


def test_weights_under_other_names_are_no_random_model(changed):
    folder = changed(lambda weights: {f"x.{name}": weights[name] for name in weights})
    with pytest.raises(UserError, match=r"lacks (\d+) of the \1 weights|lacks \d+ of the \d+"):
        load_model(folder)


def test_a_pooler_may_be_missing(changed):
    folder = changed(
        lambda weights: {name: weights[name] for name in weights if "pooler" not in name}
    )
    assert load_model(folder).config.num_hidden_layers == 4


def test_a_head_that_the_file_lacks_is_left_out(changed):
    folder = changed(dict)
    config = json.loads(Path(folder, "config.json").read_text())
    Path(folder, "config.json").write_text(
        json.dumps(config | {"architectures": ["XLMRobertaForMaskedLM"]})
    )
    assert load_model(folder).get_output_embeddings() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named_with_its_tensor(changed, value):
    def damage(weights: Weights) -> Weights:
        weights[LAYER][0, 0] = value
        return weights

    with pytest.raises(UserError, match=rf"1 of the numbers in {LAYER} are not finite"):
        load_model(changed(damage))


def test_weights_of_another_shape_are_one_sentence(changed):
    folder = changed(lambda weights: {**weights, LAYER: weights[LAYER][:, :3].contiguous()})
    with pytest.raises(UserError, match=rf"{LAYER} is \[32, 3\] in model.safetensors, and by its"):
        load_model(folder)


def test_weights_that_are_no_floating_point_numbers_are_refused(changed):
    folder = changed(lambda weights: {**weights, LAYER: weights[LAYER].to(torch.int8)})
    with pytest.raises(UserError, match=rf"{LAYER} is of type I8 in model.safetensors"):
        load_model(folder)


WORDS = "en bok om skolan och vägen".split()


@pytest.fixture
def unigram_bert(tmp_path: Path) -> Path:
    """A BERT whose tokenizer.json is a Unigram tokenizer."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [("▁" + word, -4.0) for word in WORDS]
    pieces += [(letter, -6.0) for letter in "abcdefghijklmnopqrstuvwxyzåäö"] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    as_xlm_r(tokenizer, model_max_length=60).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("declared", [None, "RobertaTokenizer", "BertTokenizer"])
def test_a_tokenizer_that_loading_rebuilt_is_refused_with_the_class_to_declare(
    unigram_bert, declared
):
    file = unigram_bert / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config.pop("tokenizer_class", None)
    file.write_text(json.dumps(config | ({"tokenizer_class": declared} if declared else {})))
    with pytest.raises(UserError, match='Set "tokenizer_class": "PreTrainedTokenizerFast"'):
        load_tokenizer(str(unigram_bert))


def test_a_tokenizer_that_declares_the_general_class_is_taken(unigram_bert):
    file = unigram_bert / "tokenizer_config.json"
    config = json.loads(file.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(config))
    assert load_tokenizer(str(unigram_bert)).tokenize("en bok") == ["▁en", "▁bok"]


@pytest.fixture
def configured(tiny_teacher: Path, tmp_path: Path) -> Callable[..., str]:
    """`configured(key=value)`: a copy of the tiny teacher whose config.json says otherwise."""

    def configured(**keys: object) -> str:
        folder = tmp_path / "configured"
        shutil.copytree(tiny_teacher, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **keys}))
        return str(folder)

    return configured


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"is_decoder": True}, "is a decoder"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "has quantised weights"),
        ({"num_hidden_layers": 10**6}, "has num_hidden_layers 1000000 in its config.json"),
        ({"vocab_size": 10**12}, "has vocab_size 1000000000000 in its config.json"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"architectures": [3]}, r"has architectures \[3\] in its config.json"),
        ({"num_labels": 10**9}, "has num_labels 1,000,000,000 in its config.json"),
        ({"chunk_size_feed_forward": 7}, "cannot compute what its config.json describes"),
        ({"pad_token_id": None}, "cannot compute what its config.json describes"),
        ({"return_dict": False}, "cannot compute what its config.json describes"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_attention_heads": 5}, "which its 5 attention heads do not divide|multiple of"),
        ({"max_position_embeddings": 0}, "has max_position_embeddings 0"),
        (
            {"intermediate_size": 7},
            r"is \[64\] in model.safetensors, and by its config.json \[7\]",
        ),
        ({"hidden_act": "unheard-of"}, "unheard-of"),
        ({"model_type": "vit"}, "which has no vocabulary"),
    ],
)
def test_a_config_that_no_encoder_can_be_built_of_is_one_sentence(configured, keys, sentence):
    with pytest.raises(UserError, match=sentence):
        load_model(configured(**keys))


def test_an_index_of_shards_may_name_no_file_but_the_folders_own(configured):
    folder = Path(configured())
    index = {"metadata": {}, "weight_map": {"embeddings.LayerNorm.bias": "../weights.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        UserError, match=r"index.json names '../weights.bin', which is no safetenso"
    ):
        load_model(str(folder))


def test_an_adapter_without_its_model_is_refused_with_what_to_do(configured):
    folder = Path(configured())
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds an adapter and no model; merge it"):
        load_model(str(folder))
