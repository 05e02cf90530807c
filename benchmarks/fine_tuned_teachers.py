"""Fine-tuned multilingual teachers, which no package brings: the packaged teacher learns a task.

    DISTILL_DATA=... .venv/bin/python benchmarks/fine_tuned_teachers.py TASK teachers/TASK

writes a stock folder for recipes/task-TASK.yaml, where TASK is

    topics     SIB-200: one of seven topics a sentence
    mentions   Klintan's news: which of PER, ORG, LOC and MISC a sentence names, any number of them
    pos        UD Swedish Talbanken: parts of speech
    ner        Klintan's news: named entities
    reranker   SQuAD in Swedish: how well a paragraph answers a question

Some minutes on two cores: the embeddings stay as they are. That of mentions also gets the rows of
its task, mentions.jsonl.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from distill.distillation.pairs import with_negatives
from distill.evaluation.encoding import Input, encode_rows, pad
from distill.evaluation.tasks import Row, TaskRows
from distill.models import load_tokenizer
from distill.models.packaged import packaged_teacher
from distill.models.saving import save_model

BATCH, LEARNING_RATE, LONGEST = 16, 1e-4, 128


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What a teacher learns from, and with which head."""

    train: str
    kind: str
    epochs: int
    test: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


TASKS = {
    "topics": Learnt(train="sib200/sv/train.jsonl.gz", kind="SequenceClassification", epochs=5),
    "mentions": Learnt(
        train="sv/tasks/klintan_ner/train.jsonl.gz",
        test="sv/tasks/klintan_ner/test.jsonl.gz",
        kind="SequenceClassification",
        epochs=2,
        config={"problem_type": "multi_label_classification"},
    ),
    "pos": Learnt(
        train="sv/tasks/talbanken_pos/train.jsonl.gz", kind="TokenClassification", epochs=2
    ),
    "ner": Learnt(
        train="sv/tasks/klintan_ner/train.jsonl.gz", kind="TokenClassification", epochs=2
    ),
    "reranker": Learnt(
        train="sv/tasks/squad_sv/dev.jsonl.gz",
        kind="SequenceClassification",
        epochs=1,
        config={"num_labels": 1},
    ),
}
QUESTIONS, NEGATIVES = 2500, 2
"""Of the reranker's rows."""


def records(path: str) -> list[dict[str, Any]]:
    """The rows of a file below DISTILL_DATA."""
    with gzip.open(Path(os.environ["DISTILL_DATA"]) / path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def mentions(row: dict[str, Any]) -> dict[str, Any]:
    """A sentence with the kinds of names that it holds."""
    kinds = sorted({tag[2:] for tag in row["ner"] if tag != "O"})
    return {"text": " ".join(row["tokens"]), "labels": kinds}


def read_rows(task: str) -> list[Row]:
    """The training rows; of a reranker every question with its paragraph and with others."""
    rows = records(TASKS[task].train)
    if task == "topics":
        return [Row(text=row["text"], label=row["label"]) for row in rows]
    if task == "mentions":
        named = map(mentions, rows)
        return [Row(text=row["text"], label=tuple(row["labels"])) for row in named]
    if task == "reranker":
        random = np.random.default_rng(0)
        chosen = random.permutation(len(rows))[:QUESTIONS]
        pairs = [(rows[i]["q"], rows[i]["a"]) for i in chosen]
        asked = with_negatives(pairs, NEGATIVES, random)
        return [
            Row(text=question, text_pair=paragraph, label=float(at % (NEGATIVES + 1) == 0))
            for at, (question, paragraph) in enumerate(asked)
        ]
    column = "upos" if task == "pos" else "ner"
    return [Row(words=tuple(row["tokens"]), label=tuple(row[column])) for row in rows]


def batches(count: int, epochs: int) -> Iterator[list[int]]:
    """The numbers of rows, in an order that the seed draws anew every epoch."""
    for _ in range(epochs):
        order = torch.randperm(count).tolist()
        yield from (order[at : at + BATCH] for at in range(0, count, BATCH))


def loss_of(task: str, model: Any, inputs: list[Input], padding: int, classes: int) -> torch.Tensor:
    """The loss of a batch; of a reranker the cross-entropy of a pair's belonging together."""
    of_words, several = TASKS[task].kind == "TokenClassification", task == "mentions"
    batch = pad(inputs, padding, of_words=of_words, several_of=classes if several else 0)
    given = {"input_ids": batch["ids"], "attention_mask": batch["mask"]}
    if task == "reranker":
        logits = model(**given).logits[:, 0].float()
        return F.binary_cross_entropy_with_logits(logits, batch["targets"])
    labels = batch["targets"] if several else batch["targets"].long()
    loss: torch.Tensor = model(**given, labels=labels).loss
    return loss


def fine_tune(task: str, rows: list[Row]) -> tuple[Any, Any]:
    """The teacher after its last step, with its tokenizer."""
    torch.manual_seed(0)
    learnt, folder = TASKS[task], packaged_teacher("multilingual-e5-small")
    tokenizer = load_tokenizer("package:multilingual-e5-small")
    classes = tuple(sorted({name for row in rows for name in row.names}))
    says = {"id2label": dict(enumerate(classes))} if classes else {}
    config = transformers.AutoConfig.from_pretrained(folder, **says, **learnt.config)
    auto = getattr(transformers, f"AutoModelFor{learnt.kind}")
    model = auto.from_pretrained(folder, config=config, dtype=torch.float32).train()
    model.get_input_embeddings().requires_grad_(False)
    known = TaskRows(train=rows, dev=[], test=[], classes=classes, left_out={}, test_in_train=0)
    inputs = encode_rows(rows, known, tokenizer, LONGEST).inputs
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    steps = learnt.epochs * -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / (0.1 * steps), 1 - step / steps)
    )
    for step, chosen in enumerate(batches(len(inputs), learnt.epochs)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(
                task, model, [inputs[i] for i in chosen], tokenizer.pad_token_id, len(classes)
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 20 == 0:
            sys.stderr.write(f"step {step} of {steps}: loss {loss.item():.3f}\n")
    return model.eval(), tokenizer


def main() -> None:
    """Fine-tune the teacher for one task, and save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    save_model(*fine_tune(given.task, read_rows(given.task)), given.output)
    if given.task == "mentions":
        rows = map(mentions, records(str(TASKS[given.task].test)))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (given.output / "mentions.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
