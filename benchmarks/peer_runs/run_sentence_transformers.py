"""The layer-dropping distillation of sentence-transformers in an environment of its own.

As its example model_distillation_layer_reduction.py does it: a copy of the teacher with some of its
layers, the teacher's vectors of all texts computed first, then one epoch of MSELoss on them in
batches of 64 at a learning rate of 1e-4 with a tenth of warm-up. As many texts are taken as both
parts can read in the minutes that are given, by a rehearsal of each that does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MSELoss
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import TrainerCallback

BATCH = 64
REHEARSED_BATCHES = 10
LATEST = 1.03
"""Of the minutes, when training stops in any case: a rehearsal is never exact."""


class Deadline(TrainerCallback):
    """Stops training when the time is over."""

    def __init__(self, at: float) -> None:
        self.at = at

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """After each step."""
        if time.monotonic() >= self.at:
            control.should_training_stop = True
        return control


def main() -> None:
    """Distil, save, and print what was read in which time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, help="a JSON list, prefixes included")
    parser.add_argument("--layers", type=int, nargs="+", required=True, help="counted from 1")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    texts: list[str] = json.loads(options.texts.read_text(encoding="utf-8"))
    teacher = sentence_transformer(options.teacher)
    student = drop_layers(teacher, options.layers)
    count = texts_in(options, teacher, student, texts)
    started = time.monotonic()
    dataset = with_vectors(teacher, texts[:count], options.precision)
    encoded = time.monotonic()
    steps = train(student, dataset, options, deadline=started + LATEST * 60 * options.minutes)
    ended = time.monotonic()
    student.save(str(options.output))
    read = texts[: min(count, steps * BATCH)]
    lengths = teacher.tokenizer(read, truncation=True, max_length=512)["input_ids"]
    print(
        json.dumps(
            {
                "texts": len(read),
                "tokens": sum(map(len, lengths)),
                "steps": steps,
                "seconds": ended - started,
                "teacher_seconds": encoded - started,
                "threads": torch.get_num_threads(),
            }
        )
    )


def sentence_transformer(folder: Path) -> SentenceTransformer:
    """The folder's model with mean pooling and vectors of length 1, as the teacher's publisher
    has it.
    """
    transformer = Transformer(str(folder), max_seq_length=512)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")


def drop_layers(teacher: SentenceTransformer, layers: Sequence[int]) -> SentenceTransformer:
    """A copy with some layers, counted from 1."""
    student = copy.deepcopy(teacher)
    model = student.transformers_model
    model.encoder.layer = torch.nn.ModuleList(model.encoder.layer[i - 1] for i in layers)
    model.config.num_hidden_layers = len(layers)
    return student


def with_vectors(teacher: SentenceTransformer, texts: Sequence[str], precision: str) -> Dataset:
    """The texts with the teacher's vectors as labels."""
    with autocast(precision):
        vectors = teacher.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
    return Dataset.from_dict({"sentence": list(texts), "label": vectors.astype("float32")})


def autocast(precision: str) -> Any:
    """Encoding in the precision that training has."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cpu", torch.bfloat16)


def train(
    student: SentenceTransformer,
    dataset: Dataset,
    options: argparse.Namespace,
    deadline: float = float("inf"),
) -> int:
    """One epoch, or until the deadline; the steps that were taken."""
    with TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=student,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=options.learning_rate,
                warmup_steps=0.1,
                bf16=options.precision == "bfloat16",
                use_cpu=True,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=dataset,
            loss=MSELoss(model=student),
            callbacks=[Deadline(deadline)],
        )
        trainer.train()
        return int(trainer.state.global_step)


def texts_in(
    options: argparse.Namespace,
    teacher: SentenceTransformer,
    student: SentenceTransformer,
    texts: Sequence[str],
) -> int:
    """How many texts can be read in the minutes, the teacher's vectors included."""
    sample, trained = texts[: BATCH * REHEARSED_BATCHES], copy.deepcopy(student)
    # What is run for the first time is slower.
    train(trained, with_vectors(teacher, sample[:BATCH], options.precision), options)
    started = time.monotonic()
    train(trained, with_vectors(teacher, sample, options.precision), options)
    seconds = time.monotonic() - started
    batches = int(60 * options.minutes / seconds * len(sample) / BATCH)
    return min(max(1, batches) * BATCH, len(texts))


if __name__ == "__main__":
    main()
