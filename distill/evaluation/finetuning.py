"""One fine-tune: an encoder and encoded rows go in; what the best weights on dev predict comes
out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from distill.evaluation.encoding import IGNORED, Encoded, Input, pad
from distill.evaluation.headed_encoder import HeadedEncoder, freeze_layers
from distill.runtime.batching import rows_of_like_length
from distill.training.groups import parameter_groups
from distill.training.schedule import learning_rate_of_step

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_GRADIENT_NORM = 1.0
_GROUPED_BATCHES = 16
"""So many batches' rows are sorted by length together: little padding, and batches that stay
mixed.
"""
_PREDICTED_TOKENS = 8192

Found = float | tuple[int, ...] | dict[int, int]
"""A row's class or number, its classes, or the class of each of its words that has pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How one fine-tune goes; the recipe says what each means."""

    learning_rate: float
    warmup: float
    weight_decay: float
    batch_size: int
    epochs: int
    max_steps: int | None
    evaluation_steps: int | None
    patience: int
    freeze_layers: int
    dropout: bool
    precision: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """What a head answers: one of `classes` for a text, or several, or without `pooling` one for
    each word; or a number.
    """

    classes: int
    """0 for a number."""
    pooling: str | None
    several: bool = False
    """Whether a text can have none or several of the classes."""

    def pad(self, inputs: Sequence[Input], padding: int) -> dict[str, torch.Tensor]:
        """A batch of inputs with the targets of this head."""
        several_of = self.classes if self.several else 0
        return pad(inputs, padding, of_words=self.pooling is None, several_of=several_of)


@dataclass(frozen=True, kw_only=True, slots=True)
class FineTuned:
    """How a fine-tune ended."""

    model: HeadedEncoder
    """With the weights that were best on dev."""
    dev: float
    steps: int
    best_step: int


def row_batches(
    lengths: np.ndarray, batch_size: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Every row once, in random batches of `batch_size` rows of like length."""
    order = random.permutation(len(lengths))
    group = batch_size * _GROUPED_BATCHES
    batches: list[np.ndarray] = []
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    for i in random.permutation(len(batches)):
        yield batches[i]


def fine_tune(
    encoder: PreTrainedModel,
    train: Sequence[Input],
    *,
    outputs: Outputs,
    settings: Settings,
    seed: int,
    measure_dev: Callable[[HeadedEncoder], float],
    padding: int = 0,
    advance: Callable[[float], object] = lambda share: None,
) -> FineTuned:
    """Train `encoder` in place with a new head on `train` until `measure_dev` stops rising; the
    best weights are put back.

    Head, dropout and order follow from `seed` alone. AdamW (Loshchilov & Hutter 2019) with a linear
    rise and fall of the learning rate; cross-entropy of classes, of each class by itself where a
    text can have several, squared error of a number. A loss that is no number ends it. `advance` is
    told shares of the whole, which add up to 1.
    """
    device = encoder.device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = HeadedEncoder(encoder, max(1, outputs.classes), outputs.pooling).to(device)
        freeze_layers(encoder, settings.freeze_layers)
        return _train(model, train, outputs, settings, seed, measure_dev, padding, advance)


def _train(
    model: HeadedEncoder,
    train: Sequence[Input],
    outputs: Outputs,
    settings: Settings,
    seed: int,
    measure_dev: Callable[[HeadedEncoder], float],
    padding: int,
    advance: Callable[[float], object],
) -> FineTuned:
    random = np.random.default_rng(seed)
    lengths = np.array([len(item.ids) for item in train])
    an_epoch = math.ceil(len(train) / settings.batch_size)
    steps = min(settings.epochs * an_epoch, settings.max_steps or settings.epochs * an_epoch)
    every = min(settings.evaluation_steps or an_epoch, steps)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay), lr=settings.learning_rate, fused=True
    )
    best: tuple[float, int, list[torch.Tensor]] | None = None
    step = stalled = 0

    def validate() -> None:
        nonlocal best, stalled
        score = measure_dev(model)
        if best is None or score > best[0]:
            best, stalled = (score, step, [parameter.detach().clone() for parameter in trained]), 0
        else:
            stalled += 1

    while step < steps and stalled < settings.patience:
        for rows in row_batches(lengths, settings.batch_size, random):
            model.train()
            model.encoder.train(settings.dropout)
            batch = outputs.pad([train[i] for i in rows], padding)
            loss = _loss(model, batch, outputs, settings.precision)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = float(torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM))
            if not math.isfinite(norm):  # before the weights are touched
                stalled = settings.patience
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_of_step(
                    step, steps, settings.learning_rate, settings.warmup
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            advance(1 / steps)
            if step % every == 0 or step == steps:
                validate()
                if step == steps or stalled >= settings.patience:
                    break
    if best is None:
        validate()
    assert best is not None
    with torch.no_grad():
        for parameter, kept in zip(trained, best[2], strict=True):
            parameter.copy_(kept)
    advance(1 - step / steps)
    return FineTuned(model=model.eval(), dev=best[0], steps=step, best_step=best[1])


def _loss(
    model: HeadedEncoder, batch: dict[str, torch.Tensor], outputs: Outputs, precision: str
) -> torch.Tensor:
    device = model.encoder.device
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        answers = model(batch["ids"], batch["mask"], batch["types"])
    if not outputs.classes:
        return F.mse_loss(answers[:, 0].float(), batch["targets"])
    if outputs.several:
        return F.binary_cross_entropy_with_logits(answers.float(), batch["targets"])
    if outputs.pooling is None:
        return F.cross_entropy(
            answers.float().flatten(0, 1), batch["targets"].flatten(), ignore_index=IGNORED
        )
    return F.cross_entropy(answers.float(), batch["targets"].long())


@torch.inference_mode()
def mean_loss(
    model: HeadedEncoder,
    rows: Sequence[Input],
    *,
    outputs: Outputs,
    precision: str,
    padding: int = 0,
) -> float:
    """The loss of rows, a mean over them, in batches of like length."""
    model.eval()
    total = 0.0
    for chosen in rows_of_like_length([len(item.ids) for item in rows], _PREDICTED_TOKENS):
        batch = outputs.pad([rows[i] for i in chosen], padding)
        total += len(chosen) * float(_loss(model, batch, outputs, precision))
    return total / len(rows)


@torch.inference_mode()
def predict(
    model: HeadedEncoder, encoded: Encoded, *, outputs: Outputs, precision: str, padding: int = 0
) -> list[Found]:
    """For each row its class's number, those of all its classes, its number (between 0 and 1), or
    the class's number of each word that has pieces.
    """
    model.eval()
    device = model.encoder.device
    predictions: list[Found] = [0.0] * encoded.rows
    if outputs.pooling is None:
        predictions = [{} for _ in range(encoded.rows)]
    for chosen in rows_of_like_length(
        [len(item.ids) for item in encoded.inputs], _PREDICTED_TOKENS
    ):
        batch = pad([encoded.inputs[i] for i in chosen], padding)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            answers = model(
                batch["ids"].to(device), batch["mask"].to(device), batch["types"].to(device)
            )
        if outputs.several:
            for i, has in zip(chosen, (answers > 0).cpu().numpy(), strict=True):
                predictions[encoded.row_of[i]] = tuple(np.flatnonzero(has).tolist())
            continue
        numbers = (answers.argmax(-1) if outputs.classes else answers[..., 0].float()).cpu().numpy()
        for at, i in enumerate(chosen):
            row, item = encoded.row_of[i], encoded.inputs[i]
            of_words = predictions[row]
            if isinstance(of_words, dict):
                of_words.update(
                    zip(item.words, numbers[at, list(item.places)].tolist(), strict=True)
                )
            else:
                predictions[row] = float(numbers[at])
    return predictions
