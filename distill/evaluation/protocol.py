"""The protocol of fine-tuning: which learning rate, which draws of rows, and which fine-tunes are
still missing.

Every model meets the same draws: they follow from the recipe's seed, the task and the seed's number
alone, so that the difference between two models is one of pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from distill.evaluation.encoding import Encoded, encode_rows, renumber, used_pieces
from distill.evaluation.finetuning import Outputs, Settings, fine_tune, predict
from distill.evaluation.finished import Entry, Finished
from distill.evaluation.headed_encoder import HeadedEncoder, bare_copy
from distill.evaluation.int8 import Int8Encoder
from distill.evaluation.scoring import Prediction, measure
from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.onnx.conversion import ConversionError
from distill.recipe import EvaluationSection, FineTunedTask, TokensTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What one seed draws: rows by number, with replacement, and the seed of head, order and
    dropout.
    """

    train: np.ndarray
    test: np.ndarray
    torch_seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A model on a task: for each metric, of each test set, one value a seed, at the learning rate
    that dev chose.
    """

    values: dict[str, list[float]]
    learning_rate: float
    cut: dict[str, int]
    """Rows of each split that were too long for the model."""


def draw_rows(seed: int, task: str, number: int, *, train: int, test: int) -> Draw:
    """The draws of the seed of that number (bootstrap, Efron & Tibshirani 1993): as many rows as
    there are, some twice.
    """
    random = np.random.default_rng([seed, number, *task.encode()])
    return Draw(
        train=random.integers(train, size=train),
        test=random.integers(test, size=test),
        torch_seed=int(random.integers(2**31)),
    )


def draw_for(rows: TaskRows, seed: int, task: str, number: int) -> Draw:
    """The seed's draw of a task's rows; of several test sets each its own, one after another.

    These follow from their sizes alone, whatever was learnt from: the same rows of sets of the same
    size.
    """
    if not rows.tests:
        return draw_rows(seed, task, number, train=len(rows.train), test=len(rows.test))
    sets = [
        places.start + draw_rows(seed, task, number, train=1, test=len(places)).test
        for places in rows.tests.values()
    ]
    return replace(
        draw_rows(seed, task, number, train=len(rows.train), test=1), test=np.concatenate(sets)
    )


def metric_in(metric: str, test: str) -> str:
    """What a metric of one of several test sets is called."""
    return f"{metric} in {test}"


def planned(section: EvaluationSection) -> int:
    """Fine-tunes of one model on one task: the grid with the first seed, and the other seeds."""
    return len(section.learning_rates) + section.seeds - 1


def choose_learning_rate(tried: Sequence[tuple[float, float]]) -> float:
    """Of (learning rate, dev score) the rate with the best score; of equals the first."""
    return max(tried, key=lambda pair: pair[1])[0]


def measure_model(
    task: FineTunedTask,
    rows: TaskRows,
    *,
    name: str,
    load: Callable[[], LoadedModel],
    section: EvaluationSection,
    pooling: str,
    seed: int,
    precision: str,
    device: torch.device,
    finished: Finished,
    learnt_from: str | None = None,
    quantise: bool = False,
    scores: Literal["scores", "int8"] = "scores",
    advance: Callable[[float, str], object] = lambda share, detail: None,
) -> Measured:
    """The model's values on the task: those that `finished` has are taken from there, the others
    are measured and added.

    The learning rate is the best on dev with the first seed. The model is loaded if something is
    missing. `learnt_from` tells apart the fine-tunes of a task that has several sets of training
    rows; they share their draws. With `quantise`, every fine-tune is scored in int8, too, and
    `scores` says which of both is wanted. Raises ConversionError if the model cannot be had in
    int8.
    """
    bench: _Bench | None = None
    own = task.name if learnt_from is None else f"{task.name} from {learnt_from}"

    def value_of(number: int, rate: float) -> Entry:
        nonlocal bench
        found = finished.find(name, own, number, rate)
        if found is not None:
            return found
        if bench is None:
            bench = _Bench(task, rows, load(), section, pooling, precision, device, quantise)
        draw = draw_for(rows, seed, task.name, number)
        detail = f"{name} on {own}, seed {number + 1} of {section.seeds}, learning rate {rate:g}"
        measured = bench(draw, rate, lambda share: advance(share, detail))
        return finished.add(
            {"model": name, "task": own, "seed": number, "learning_rate": rate, **measured}
        )

    tried = {rate: value_of(0, rate) for rate in section.learning_rates}
    best = choose_learning_rate([(rate, entry["dev"]) for rate, entry in tried.items()])
    entries = [tried[best], *(value_of(number, best) for number in range(1, section.seeds))]
    if "reason" in entries[0][scores]:
        raise ConversionError(entries[0][scores]["reason"])
    return Measured(
        values={
            metric: [entry[scores][metric] for entry in entries] for metric in entries[0][scores]
        },
        learning_rate=best,
        cut=entries[0]["cut"],
    )


class _Bench:
    """A model and a task's rows, encoded once, ready to be fine-tuned again and again."""

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
        self.quantise = quantise
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
            classes=len(rows.classes), pooling=None if isinstance(task, TokensTask) else pooling
        )

    def __call__(
        self, draw: Draw, learning_rate: float, advance: Callable[[float], object]
    ) -> Entry:
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
        tuned = fine_tune(
            bare_copy(self.model, self.pieces, longest=self.longest, device=self.device),
            self.train.inputs_of(draw.train),
            outputs=self.outputs,
            settings=settings,
            seed=draw.torch_seed,
            measure_dev=lambda model: self._measure(
                model, self.rows.dev, self.dev, range(len(self.rows.dev))
            )[self.task.metrics[0]],
            padding=self.padding,
            advance=advance,
        )
        scores = self._measure(tuned.model, self.rows.test, self.test, draw.test, self.rows.tests)
        return {
            "dev": tuned.dev,
            "scores": scores,
            **({"int8": self._measure_int8(tuned.model, draw.test)} if self.quantise else {}),
            "steps": tuned.steps,
            "best_step": tuned.best_step,
            "precision": self.precision,
            "cut": {"train": self.train.cut, "dev": self.dev.cut, "test": self.test.cut},
            "seconds": time.monotonic() - started,
        }

    def _measure(
        self,
        model: HeadedEncoder,
        rows: Sequence[Row],
        encoded: Encoded,
        drawn: Sequence[int] | np.ndarray,
        sets: Mapping[str, range] | None = None,
    ) -> dict[str, float]:
        precision = "float32" if isinstance(model.encoder, Int8Encoder) else self.precision
        found = predict(
            model, encoded, outputs=self.outputs, precision=precision, padding=self.padding
        )
        predictions = name_predictions(found, rows, self.rows)

        def of(drawn: Sequence[int] | np.ndarray) -> dict[str, float]:
            return measure(self.task, [rows[i] for i in drawn], [predictions[i] for i in drawn])

        if not sets:
            return of(drawn)
        parts = np.split(
            np.asarray(drawn), np.cumsum([len(places) for places in sets.values()])[:-1]
        )
        found_in = {test: of(part) for test, part in zip(sets, parts, strict=True)}
        return {
            metric_in(metric, test): value
            for test, own in found_in.items()
            for metric, value in own.items()
        }

    def _measure_int8(self, model: HeadedEncoder, drawn: np.ndarray) -> Entry:
        """The test scores of `model`, whose encoder an int8 one takes the place of; or why there
        are none.
        """
        try:
            model.encoder = Int8Encoder(model.encoder)
        except ConversionError as error:
            return {"reason": str(error)}
        return self._measure(model.to("cpu"), self.rows.test, self.test, drawn, self.rows.tests)


def name_predictions(
    found: Sequence[float | dict[int, int]], rows: Sequence[Row], task: TaskRows
) -> list[Prediction]:
    """Predictions as labels are written: classes by name, numbers on their scale, every word with a
    class.

    A word that a tokenizer makes nothing of gets the training rows' most frequent class.
    """
    if not task.classes:
        low, high = task.scale
        return [low + float(value) * (high - low) for value in found if not isinstance(value, dict)]
    named: list[Prediction] = []
    for value, row in zip(found, rows, strict=True):
        if isinstance(value, dict):
            named.append(
                tuple(
                    task.classes[value[i]] if i in value else task.majority
                    for i in range(len(row.words))
                )
            )
        else:
            named.append(task.classes[int(value)])
    return named
