"""Fine-tuned models as they are: rows and a model with a head of its own go in; its predictions
come out, with no training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from distill.evaluation.encoding import Input, encode_rows, pad
from distill.evaluation.int8 import Int8Encoder
from distill.evaluation.tasks import (
    OUTSIDE,
    Row,
    TaskRows,
    cap_rows,
    check_entities,
    read_split,
)
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.models.task_heads import (
    NUMBERS,
    HeadTask,
    TaskHead,
    head_logits,
    head_of,
    predictions,
)
from distill.recipe import OwnHeadTask
from distill.runtime.batching import rows_of_like_length
from distill.runtime.errors import UserError

Answer = list[str] | float
"""The classes of a row, none, one or several, or of each word; or its number."""
_BATCH_TOKENS = 4096
_ANSWERS: dict[str, tuple[tuple[HeadTask, ...], str]] = {
    "classification": (("classes",), "one class a text"),
    "pair_classification": (("classes",), "one class a text"),
    "multilabel": (("labels",), "several labels a text"),
    "similarity": (NUMBERS, "a number"),
    "tokens": (("tags",), "a tag a word"),
}
"""What each kind of task asks a head for, as `TaskHead.task` and in words."""
_UNNAMED = re.compile(r"LABEL_\d+")
"""What transformers calls an output that nobody named."""


def read_test_rows(task: OwnHeadTask, seed: int) -> list[Row]:
    """The task's test rows, capped by the seed. Raises UserError if they cannot be read."""
    rows = list(read_split(task.as_fine_tuned, task.test, "test", {}).values())
    return cap_rows(rows, task.max_test, np.random.default_rng([seed, *task.name.encode()]))


def own_head(model: Any) -> TaskHead | None:
    """The head of a model in torch or in int8."""
    return model.head if isinstance(model, Int8Encoder) else head_of(model)


def check_head(task: OwnHeadTask, rows: Sequence[Row], head: TaskHead | None, model: str) -> None:
    """Nothing if the model's head answers what the task asks. Raises UserError that says what it
    answers, or which label it lacks.
    """
    asked, wanted = _ANSWERS[task.kind]
    where = f"evaluation task {task.name}: head: own"
    if head is None:
        raise UserError(
            f"{where} measures a fine-tuned model as it is, and {model} has no head for a task; "
            "leave head out, and every model is fine-tuned on the task."
        )
    if head.task not in asked:
        raise UserError(
            f"{where} of kind {task.kind} needs a head that answers {wanted}; that of {model} "
            f"answers {head.words}."
        )
    names = {name for row in rows for name in row.names}
    check_entities(task, sorted({*names, *head.labels}))
    if lacking := sorted(name for name in names if label_of(name, head.labels) is None):
        raise UserError(
            f"{where}: the head of {model} lacks {', '.join(lacking[:5])}; it has "
            f"{', '.join(head.labels[:8])}{' ...' if len(head.labels) > 8 else ''}: say in labels "
            "what each class of the rows is called there."
        )


def label_of(name: str, labels: Sequence[str]) -> str | None:
    """What the head calls a class: by its name or, where nobody named the head's outputs, by its
    number; None if it has no such class.
    """
    if name in labels:
        return name
    unnamed = all(_UNNAMED.fullmatch(label) for label in labels)
    numbered = f"LABEL_{name}"
    return numbered if unnamed and numbered in labels else None


def gold_labels(rows: Sequence[Row], head: TaskHead) -> list[Answer]:
    """The classes of each row as the head calls them, or its number."""
    if head.task in NUMBERS:
        return [float(str(row.label)) for row in rows]
    return [[str(label_of(name, head.labels)) for name in row.names] for row in rows]


@torch.inference_mode()
def predict_labels(
    model: LoadedModel,
    rows: Sequence[Row],
    head: TaskHead,
    *,
    longest: int,
    advance: Callable[[float], object],
) -> list[Answer]:
    """What the head says of each row: a class, any number of labels, a number, or a tag for every
    word, also for those that stand beyond `longest` tokens.
    """
    is_number = head.task in NUMBERS
    named = [*rows] if is_number else [_renamed(row, head) for row in rows]
    task = TaskRows(
        train=named, dev=[], test=named, classes=head.labels, left_out={}, test_in_train=0
    )
    limit = min(longest, model.tokenizer.model_max_length, position_limit(model.model))
    encoded = encode_rows(named, task, model.tokenizer, limit)
    fallback = OUTSIDE if OUTSIDE in head.labels else next(iter(head.labels), "")
    labels = [[fallback] * len(row.names) for row in rows]
    numbers = [0.0] * len(rows)
    lengths = [len(item.ids) for item in encoded.inputs]
    for chosen in rows_of_like_length(lengths, _BATCH_TOKENS):
        inputs = [encoded.inputs[i] for i in chosen]
        logits = head_answers(model, inputs, of_tokens=head.of_tokens)
        for answer, at in zip(predictions(logits, head).numpy(), chosen, strict=True):
            item, row = encoded.inputs[at], labels[encoded.row_of[at]]
            if is_number:
                numbers[encoded.row_of[at]] = float(answer[0])
            elif head.of_tokens:
                for word, position in zip(item.words, item.places, strict=True):
                    row[word] = head.labels[int(answer[position])]
            elif head.task == "labels":
                row[:] = [head.labels[i] for i in np.flatnonzero(answer)]
            else:
                row[0] = head.labels[int(answer)]
        advance(len(chosen) / len(lengths))
    return [*numbers] if is_number else [*labels]


def _renamed(row: Row, head: TaskHead) -> Row:
    names = [str(label_of(name, head.labels)) for name in row.names]
    return replace(row, label=tuple(names) if isinstance(row.label, tuple) else names[0])


@torch.inference_mode()
def head_answers(
    model: LoadedModel, inputs: Sequence[Input], *, of_tokens: bool = False
) -> torch.Tensor:
    """The logits of the model's head for each input [B, N], or each of its tokens [B, L, N]."""
    batch = pad(inputs, model.model.config.pad_token_id or 0, of_words=of_tokens)
    typed = getattr(model.model.config, "type_vocab_size", 0) > 1
    given = {"input_ids": batch["ids"], "attention_mask": batch["mask"]}
    given |= {"token_type_ids": batch["types"]} if typed else {}
    if isinstance(model.model, Int8Encoder):
        return model.model.answers(**given)
    here = {name: tensor.to(model.model.device) for name, tensor in given.items()}
    return head_logits(model.model(**here)).cpu()
