"""Sentence vectors of every layer: a model and texts go in; one vector a layer and text comes out,
computed once and kept.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.models.pooling import pool
from distill.runtime.batching import rows_of_like_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH_TOKENS = 4096


@torch.inference_mode()
def layer_vectors(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    pooling: str,
    longest: int,
    precision: str,
    advance: Callable[[float], object] = lambda texts: None,
) -> np.ndarray:
    """The pooled hidden states of every layer, float32 [layers + 1, texts, width]; the first layer
    is the embeddings'.

    A text is cut off at `longest` tokens. Texts of like length run together, so that hardly any
    padding is computed.
    """
    encoded: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest)[
        "input_ids"
    ]
    vectors: np.ndarray | None = None
    for rows in rows_of_like_length([len(ids) for ids in encoded], _BATCH_TOKENS):
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in rows]}, return_tensors="pt").to(
            model.device
        )
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            states = model.base_model(
                input_ids=ids, attention_mask=mask, output_hidden_states=True
            ).hidden_states
        pooled = [pool(hidden.float(), mask, pooling).cpu().numpy() for hidden in states]
        if vectors is None:
            vectors = np.empty((len(pooled), len(texts), pooled[0].shape[1]), dtype=np.float32)
        for layer, of_layer in enumerate(pooled):
            vectors[layer, rows] = of_layer
        advance(len(rows))
    assert vectors is not None
    return vectors


def states_name(texts: Sequence[str], settings: Mapping[str, Any]) -> str:
    """The name of the file that keeps the vectors of these texts: equal for equal model, texts and
    settings alone.
    """
    content = json.dumps({"texts": list(texts), **settings}, sort_keys=True, default=str)
    return f"{sha256(content.encode()).hexdigest()[:16]}.npz"


def kept_vectors(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The vectors that `path` keeps; where it is not there, or cut off, they are computed and
    kept.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return np.asarray(kept["vectors"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        vectors = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez(file, vectors=vectors)
    partial.replace(path)
    return vectors
