"""Sentence vectors: a model, a tokenizer and texts go in; one vector a text comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.models.after_pooling import AfterPooling, SentenceVectors
from distill.runtime.batching import rows_of_like_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH_TOKENS = 4096


@torch.inference_mode()
def embed(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    pooling: str,
    longest: int,
    after: AfterPooling | None = None,
    advance: Callable[[float], object] = lambda texts: None,
) -> np.ndarray:
    """Sentence vectors, float32 [texts, width], in the order of the texts, of length 1 where
    `after` compares them by cosine; a text is cut off at `longest` tokens.

    Texts of like length run together, so that hardly any padding is computed.
    """
    encoded: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest)[
        "input_ids"
    ]
    sentence_vectors = SentenceVectors(pooling, after).to(model.device)
    after = sentence_vectors.after
    width = after.output_width(model.config.hidden_size)
    vectors = np.empty((len(texts), width), dtype=np.float32)
    for rows in rows_of_like_length([len(ids) for ids in encoded], _BATCH_TOKENS):
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in rows]}, return_tensors="pt").to(
            model.device
        )
        hidden = model.base_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
        rows_vectors = sentence_vectors(hidden.float(), batch["attention_mask"])
        vectors[rows] = after.comparable(rows_vectors).cpu().numpy()
        advance(len(rows))
    return vectors
