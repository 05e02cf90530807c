"""The baselines of recipes/swedish.yaml as their repositories are: files of exactly those kinds,
with small random weights, through the real client from a hub on this machine.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save as save_safetensors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForPreTraining,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from tests.conftest import ROOT, distill_environment
from tests.export.hub_server import Files, serve
from tests.vocabulary.tokenizers_of_each_family import tokenizer_of

SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
}
TEXT = "Regeringen byggde en väg till havet 1952."
# The folders are those of a BERT that was converted from TensorFlow, of the discriminator of an
# ELECTRA, and so on; each by a Hub id of the recipe that has such a folder.
KINDS = {
    "KB/bert-base-swedish-cased": ("wordpiece, cased", "bert", "bin", "vocab"),
    "af-ai-center/bert-base-swedish-uncased": ("wordpiece, uncased", "bert", "old bin", "bare"),
    "google-bert/bert-base-multilingual-cased": ("wordpiece, cased", "bert", "safe", "json"),
    "distilbert/distilbert-base-multilingual-cased": (
        "wordpiece, cased",
        "distilbert",
        "safe",
        "json",
    ),
    "KBLab/electra-small-swedish-cased-discriminator": (
        "wordpiece, cased",
        "electra",
        "bin",
        "vocab",
    ),
    "AddedK/kbbert-distilled-cased": ("wordpiece, cased", "bert", "bin", "json"),
    "AI-Sweden-Models/ModernBERT-base": ("byte-level bpe", "modernbert", "safe", "json"),
    "jonasaise/scandmmBERT-base-scandinavian": (
        "bpe with byte fallback",
        "modernbert",
        "safe",
        "json",
    ),
    "org/unigram-of-sentencepiece": ("unigram", "xlm-roberta", "bin", "json"),
}


def model_of(kind: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A small random model of the kind, with the head that its repository has."""
    torch.manual_seed(1)
    shared: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if kind == "distilbert":
        config = DistilBertConfig(
            **shared, n_layers=2, dim=32, n_heads=2, hidden_dim=48, max_position_embeddings=66
        )
        return DistilBertForMaskedLM(config)
    if kind == "electra":
        return ElectraForPreTraining(ElectraConfig(**shared, **SIZES, embedding_size=16))
    if kind == "modernbert":
        ids = {
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
        }
        return ModernBertForMaskedLM(ModernBertConfig(**shared, **SIZES, **ids))
    if kind == "xlm-roberta":
        return XLMRobertaForMaskedLM(XLMRobertaConfig(**shared, **SIZES))
    return BertForMaskedLM(BertConfig(**shared, **SIZES))


def weights_of(model: PreTrainedModel, form: str) -> tuple[str, bytes]:
    """The file's name and content: safetensors, a pickle, or one as older libraries wrote them."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    if form == "safe":
        kept = {name: tensor for name, tensor in state.items() if name not in tied}
        return "model.safetensors", save_safetensors(kept, {"format": "pt"})
    if form == "old bin":
        state = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): tensor
            for name, tensor in state.items()
        } | {"bert.embeddings.position_ids": torch.arange(66).unsqueeze(0)}
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=form != "old bin")
    return "pytorch_model.bin", buffer.getvalue()


def tokenizer_files(tokenizer: PreTrainedTokenizerBase, form: str, folder: Path) -> Files:
    """tokenizer.json with its settings; or WordPiece's list of pieces, alone or with whether it is
    cased.
    """
    if form == "json":
        tokenizer.save_pretrained(folder)
        names = ("tokenizer.json", "tokenizer_config.json")
        return {name: (folder / name).read_bytes() for name in names}
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    files = {"vocab.txt": "".join(f"{piece}\n" for piece, _ in pieces).encode()}
    settings = {"tokenizer_config.json": b'{"do_lower_case": false, "model_max_length": 62}'}
    return files | (settings if form == "vocab" else {})


SCRIPT = """
import json, sys, torch
from distill.models import load_with_tokenizer
found = {}
for name in sys.argv[2:]:
    try:
        loaded = load_with_tokenizer(name)
    except Exception as error:
        found[name] = {"error": f"{type(error).__name__}: {error}"}
        continue
    with torch.no_grad():
        states = loaded.model.base_model(**loaded.tokenizer(sys.argv[1], return_tensors="pt"))[0]
    found[name] = {"tokens": loaded.tokenizer.tokenize(sys.argv[1]), "states": states[0].tolist(),
                   "class": type(loaded.model).__name__}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def opponents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """For each Hub id what its model makes of a text, before it went to the hub and as loaded."""
    folder, expected = tmp_path_factory.mktemp("opponents"), {}
    with serve() as hub:
        for name, (family, kind, weights, pieces) in KINDS.items():
            tokenizer = tokenizer_of(family)
            model = model_of(kind, tokenizer).eval()
            with torch.no_grad():
                ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
                states = model.base_model(input_ids=ids)[0][0]
            expected[name] = tokenizer.tokenize(TEXT), states
            model.config.architectures = [type(model).__name__]
            files = dict([weights_of(model, weights)])
            files |= tokenizer_files(tokenizer, pieces, folder / name)
            hub.add(name, {"config.json": model.config.to_json_string().encode(), **files})
        environment = distill_environment(
            HF_ENDPOINT=hub.url,
            HF_HUB_OFFLINE="0",
            HF_HUB_DISABLE_XET="1",
            HF_HOME=str(folder / "hf"),
            DISTILL_CACHE=str(folder / "cache"),
        )
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, TEXT, *KINDS],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: (expected[name], found[name]) for name in KINDS}


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_repository_of_such_files_loads_with_its_weights_and_its_own_pieces(
    name: str, opponents: dict[str, tuple[Any, Any]]
) -> None:
    (tokens, states), found = opponents[name]
    assert "error" not in found, found
    assert found["tokens"] == tokens
    assert torch.allclose(torch.tensor(found["states"]), states, atol=1e-6)


def test_the_recipe_names_these_baselines_and_no_others() -> None:
    recipe = yaml.safe_load((ROOT / "recipes" / "swedish.yaml").read_text(encoding="utf-8"))
    for section in ("evaluation", "benchmark"):
        named = {model for model in recipe[section]["models"] if "/" in model}
        assert named == {name for name in KINDS if not name.startswith("org/")}
