"""Fine-tuned multilingual teachers, which no package brings: the packaged teacher learns a task.

    DISTILL_DATA=... .venv/bin/python benchmarks/fine_tuned_teachers.py topics teachers/topics
    DISTILL_DATA=... .venv/bin/python benchmarks/fine_tuned_teachers.py pos teachers/pos

writes a stock folder, for recipes/task-topics.yaml (SIB-200, seven topics) and
recipes/task-pos.yaml (UD Swedish Talbanken, parts of speech). Some minutes on two cores: the
embeddings stay as they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from distill.evaluation.encoding import encode_rows, pad
from distill.evaluation.tasks import Row, TaskRows
from distill.models import load_tokenizer
from distill.models.packaged import packaged_teacher
from distill.models.saving import save_model

FILES = {"topics": "sib200/sv/train.jsonl.gz", "pos": "sv/tasks/talbanken_pos/train.jsonl.gz"}
EPOCHS, BATCH, LEARNING_RATE, LONGEST = {"topics": 5, "pos": 2}, 16, 1e-4, 128


def read_rows(task: str, file: Path) -> list[Row]:
    """The training rows."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if task == "topics":
        return [Row(text=row["text"], label=row["label"]) for row in rows]
    return [Row(words=tuple(row["tokens"]), label=tuple(row["upos"])) for row in rows]


def batches(count: int, epochs: int) -> Iterator[list[int]]:
    """The numbers of rows, in an order that the seed draws anew every epoch."""
    for _ in range(epochs):
        order = torch.randperm(count).tolist()
        yield from (order[at : at + BATCH] for at in range(0, count, BATCH))


def fine_tune(task: str, rows: list[Row]) -> tuple[Any, Any]:
    """The teacher after its last step, with its tokenizer."""
    torch.manual_seed(0)
    folder = packaged_teacher("multilingual-e5-small")
    tokenizer = load_tokenizer("package:multilingual-e5-small")
    classes = tuple(sorted({name for row in rows for name in row.names}))
    config = AutoConfig.from_pretrained(folder, id2label=dict(enumerate(classes)))
    auto = (
        AutoModelForSequenceClassification if task == "topics" else AutoModelForTokenClassification
    )
    model = auto.from_pretrained(folder, config=config, dtype=torch.float32).train()
    model.get_input_embeddings().requires_grad_(False)
    known = TaskRows(train=rows, dev=[], test=[], classes=classes, left_out={}, test_in_train=0)
    inputs = encode_rows(rows, known, tokenizer, LONGEST).inputs
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=LEARNING_RATE)
    steps = EPOCHS[task] * -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    for step, chosen in enumerate(batches(len(inputs), EPOCHS[task])):
        batch = pad([inputs[i] for i in chosen], tokenizer.pad_token_id, of_words=task == "pos")
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(
                input_ids=batch["ids"], attention_mask=batch["mask"], labels=batch["targets"].long()
            ).loss
        loss.backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 20 == 0:
            sys.stderr.write(f"step {step} of {steps}: loss {loss.item():.3f}\n")
    return model.eval(), tokenizer


def main() -> None:
    """Fine-tune the teacher for one task, and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(FILES))
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    rows = read_rows(given.task, Path(os.environ["DISTILL_DATA"]) / FILES[given.task])
    given.output.mkdir(parents=True, exist_ok=True)
    save_model(*fine_tune(given.task, rows), given.output)


if __name__ == "__main__":
    main()
