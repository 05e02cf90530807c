"""A model and a task's rows, encoded once, ready to be fine-tuned again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.evaluation.draws import Draw
from distill.evaluation.encoding import encode_rows, renumber, used_pieces
from distill.evaluation.finetuning import Found, Outputs, Settings, fine_tune, mean_loss, predict
from distill.evaluation.finished import Entry
from distill.evaluation.headed_encoder import HeadedEncoder, bare_copy
from distill.evaluation.int8 import Int8Encoder, encoder_int8
from distill.evaluation.scoring import Prediction, measure
from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.onnx.conversion import ConversionError
from distill.onnx.sensitivity import Batch
from distill.recipe import EvaluationSection, FineTunedTask, MultilabelTask, TokensTask
from distill.runtime.version import commit

if TYPE_CHECKING:
    from transformers import PreTrainedModel


Coded = float | int | list[int]
"""A prediction as it is kept: a class's number, a number on the labels' scale, or a class's number
a word."""
_JUDGED = 32
"""By how many rows of dev an int8 encoder is judged."""


class Bench:
    """A model and a task's rows; each call is a fine-tune."""

    def __init__(
        self,
        task: FineTunedTask,
        rows: TaskRows,
        model: LoadedModel,
        section: EvaluationSection,
        pooling: str,
        precision: str,
        device: torch.device,
        quantise: bool,
    ) -> None:
        self.quantise, self.pooling = quantise, pooling
        self.task, self.rows, self.section, self.precision, self.device = (
            task,
            rows,
            section,
            precision,
            device,
        )
        self.model: PreTrainedModel = model.model
        self.longest = min(
            section.max_length, model.tokenizer.model_max_length, position_limit(self.model)
        )
        self.padding = self.model.config.pad_token_id or 0
        splits = [
            encode_rows(split, rows, model.tokenizer, self.longest)
            for split in (rows.train, rows.dev, rows.test)
        ]
        self.pieces = used_pieces(splits, self.padding)
        self.train, self.dev, self.test = (renumber(split, self.pieces) for split in splits)
        self.outputs = Outputs(
            classes=len(rows.classes),
            pooling=None if isinstance(task, TokensTask) else pooling,
            several=isinstance(task, MultilabelTask),
        )

    def __call__(
        self, draw: Draw, learning_rate: float, advance: Callable[[float], object]
    ) -> Entry:
        """The value on dev and what is predicted for every test row, with how it was come by."""
        section, started = self.section, time.monotonic()
        settings = Settings(
            learning_rate=learning_rate,
            warmup=section.warmup,
            weight_decay=section.weight_decay,
            batch_size=section.batch_size,
            epochs=section.epochs,
            max_steps=section.max_steps,
            evaluation_steps=section.evaluation_steps,
            patience=section.patience,
            freeze_layers=section.freeze_layers,
            dropout=section.dropout,
            precision=self.precision,
        )
        by_loss = section.protocol == "euroeval"
        tuned = fine_tune(
            bare_copy(self.model, self.pieces, longest=self.longest, device=self.device),
            self.train.inputs_of(draw.train),
            outputs=self.outputs,
            settings=settings,
            seed=draw.torch_seed,
            measure_dev=lambda model: self._loss(model, draw) if by_loss else self._dev(model),
            padding=self.padding,
            advance=advance,
        )
        return {
            "dev": tuned.dev,
            "predictions": self._predict(tuned.model),
            **({"int8": self._predict_int8(tuned.model)} if self.quantise else {}),
            "steps": tuned.steps,
            "best_step": tuned.best_step,
            "precision": self.precision,
            "runtime": "torch",
            "threads": torch.get_num_threads(),
            "commit": commit(),
            "cut": {"train": self.train.cut, "dev": self.dev.cut, "test": self.test.cut},
            "seconds": time.monotonic() - started,
        }

    def _dev(self, model: HeadedEncoder) -> float:
        """The task's first metric on dev."""
        predicted = predict(
            model, self.dev, outputs=self.outputs, precision=self.precision, padding=self.padding
        )
        predictions = name_predictions(predicted, self.rows.dev, self.rows)
        return measure(self.task, self.rows.dev, predictions)[self.task.metrics[0]]

    def _loss(self, model: HeadedEncoder, draw: Draw) -> float:
        """The loss on the rows of dev that were drawn, below zero: the highest is the best."""
        return -mean_loss(
            model,
            self.dev.inputs_of(draw.dev),
            outputs=self.outputs,
            precision=self.precision,
            padding=self.padding,
        )

    def _predict(self, model: HeadedEncoder) -> list[Coded]:
        precision = "float32" if isinstance(model.encoder, Int8Encoder) else self.precision
        predicted = predict(
            model, self.test, outputs=self.outputs, precision=precision, padding=self.padding
        )
        return encode_predictions(
            name_predictions(predicted, self.rows.test, self.rows), self.rows.classes
        )

    def _predict_int8(self, model: HeadedEncoder) -> Entry:
        """What `model` predicts whose encoder an int8 one takes the place of; or why there is
        nothing.
        """
        try:
            model.encoder = encoder_int8(model.encoder, self._judging(), self.pooling)
        except ConversionError as error:
            return {"reason": str(error)}
        return {"predictions": self._predict(model.to("cpu"))}

    def _judging(self) -> list[Batch]:
        """The first rows of dev, each by itself."""
        ids = [np.array([item.ids]) for item in self.dev.inputs[:_JUDGED]]
        return [(item, np.ones_like(item)) for item in ids]


def name_predictions(
    predicted: Sequence[Found], rows: Sequence[Row], task: TaskRows
) -> list[Prediction]:
    """Predictions as labels are written: classes by name, numbers on their scale, every word with a
    class.

    A word that a tokenizer makes nothing of gets the training rows' most frequent class.
    """
    if not task.classes:
        low, high = task.scale
        numbers = [value for value in predicted if isinstance(value, float)]
        return [low + value * (high - low) for value in numbers]
    named: list[Prediction] = []
    for value, row in zip(predicted, rows, strict=True):
        if isinstance(value, dict):
            named.append(
                tuple(
                    task.classes[value[i]] if i in value else task.majority
                    for i in range(len(row.words))
                )
            )
        elif isinstance(value, tuple):
            named.append(tuple(task.classes[i] for i in value))
        else:
            named.append(task.classes[int(value)])
    return named


def encode_predictions(named: Sequence[Prediction], classes: Sequence[str]) -> list[Coded]:
    """Predictions as they are kept: classes by number."""
    numbers = {name: i for i, name in enumerate(classes)}
    return [
        [numbers[name] for name in prediction]
        if isinstance(prediction, tuple)
        else numbers[prediction]
        if isinstance(prediction, str)
        else prediction
        for prediction in named
    ]


def decode_predictions(coded: Sequence[Coded], classes: Sequence[str]) -> list[Prediction]:
    """The predictions that were kept."""
    return [
        tuple(classes[i] for i in prediction)
        if isinstance(prediction, list)
        else classes[int(prediction)]
        if classes
        else float(prediction)
        for prediction in coded
    ]
