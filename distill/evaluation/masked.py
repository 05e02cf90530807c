"""Masked-piece prediction: a model with its own head, a tokenizer and texts go in; hits a text come
out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.evaluation.int8 import Int8Encoder
from distill.evaluation.tasks import cap_rows
from distill.models.heads import language_head
from distill.recipe import MaskedTask
from distill.runtime.batching import rows_of_like_length
from distill.runtime.errors import UserError
from distill.training.masking import mask_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH_TOKENS = 4096


def read_texts(task: MaskedTask, seed: int) -> list[str]:
    """The task's texts, capped by the recipe's seed. Raises UserError if there are none or no such
    column.
    """
    read = (
        column_value(record, task.text, task.source).strip()
        for record in read_source(task.source, Tally())
    )
    texts = [text for text in read if text]
    if not texts:
        raise UserError(
            f"evaluation task {task.name}: {task.source.location} has no text in column "
            f"{task.text!r}."
        )
    return cap_rows(texts, task.max_test, np.random.default_rng([seed, *task.name.encode()]))


@torch.inference_mode()
def masked_hits(
    model: PreTrainedModel | Int8Encoder,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    share: float,
    longest: int,
    seed: int,
    advance: Callable[[float], object] = lambda share: None,
) -> np.ndarray:
    """For each text how many masked pieces are predicted, and how many were masked: [texts, 2].

    All that are chosen become the mask, and which are follows from `seed` and the text's number:
    the same for models of one vocabulary. Raises ValueError if the model has no language-model head
    or its tokenizer no mask.
    """
    head: Any = _head(model)
    if tokenizer.mask_token_id is None:
        raise ValueError("the tokenizer has no mask token")
    encoded = tokenizer(list(texts), truncation=True, max_length=longest, verbose=False)[
        "input_ids"
    ]
    hits = np.zeros((len(texts), 2), dtype=np.int64)
    for rows in rows_of_like_length([len(ids) for ids in encoded], _BATCH_TOKENS):
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in rows]}, return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        _, chosen = mask_pieces(
            ids,
            mask,
            rows=rows.tolist(),
            share=share,
            mask_id=tokenizer.mask_token_id,
            special_ids=tokenizer.all_special_ids,
            vocabulary_size=len(tokenizer),
            seed=seed,
            epoch=0,
        )
        masked = torch.where(chosen, tokenizer.mask_token_id, ids)
        given = {"input_ids": masked.to(model.device), "attention_mask": mask.to(model.device)}
        logits = (
            model.answers(**given)[chosen]
            if isinstance(model, Int8Encoder)
            else head(model.base_model(**given).last_hidden_state[chosen.to(model.device)])
        )
        right = torch.zeros_like(chosen)
        right[chosen] = logits.argmax(-1).cpu() == ids[chosen]
        hits[rows, 0], hits[rows, 1] = right.sum(-1).numpy(), chosen.sum(-1).numpy()
        advance(len(rows) / len(texts))
    return hits


def _head(model: PreTrainedModel | Int8Encoder) -> Any:
    """The language-model head; None of one that is inside of an int8 file. Raises ValueError
    without.
    """
    if not isinstance(model, Int8Encoder):
        return language_head(model)
    if not model.predicts_pieces:
        raise ValueError("the student has no language-model head")
    return None
