"""The protocol of fine-tuning: which learning rate, which rows, and which fine-tunes are still
missing.

Seeds vary head, order and dropout; every fine-tune learns from all training rows and is scored on
the whole test set. `euroeval` draws rows of every split anew for each seed, as EuroEval does. What
a seed draws follows from the recipe's seed, the task and the seed's number alone, so that the
difference between two models is one of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import fmean
from typing import Literal

import torch

from distill.evaluation.bench import Bench, decode_predictions
from distill.evaluation.draws import draw_for
from distill.evaluation.finished import Entry, Finished, each_here
from distill.evaluation.scoring import Prediction
from distill.evaluation.tasks import TaskRows
from distill.models import LoadedModel
from distill.onnx.conversion import ConversionError
from distill.recipe import EvaluationSection, FineTunedTask

_CHOOSING_SEEDS = 2
"""Seeds whose mean on dev chooses the learning rate."""
_GROWTH = 2
"""Learning rates beyond the grid's edge that are tried at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A model's fine-tunes on a task at the learning rate that dev chose."""

    predictions: list[list[Prediction]]
    """For each seed those of every test row."""
    learning_rate: float | None
    rate_at_edge: bool | None
    """Whether dev was best at the last learning rate that was tried; None of what has none."""
    dev: list[float]
    """For each seed the value by which it was chosen."""
    cut: dict[str, int]
    """Rows of each split that were too long for the model."""
    precision: str
    runtime: str
    threads: int | None
    commit: str | None
    has_seeds: bool = True
    """False of what no seed changes, whose predictions stand there once for each."""


def planned(section: EvaluationSection) -> int:
    """Fine-tunes of one model on one task: the grid with the seeds that choose, and the other
    seeds; those beyond the grid's edge are not foreseen.
    """
    choosing = min(_CHOOSING_SEEDS, section.seeds)
    return len(section.learning_rates) * choosing + section.seeds - choosing


def is_planned(section: EvaluationSection, seed: int | None, learning_rate: float | None) -> bool:
    """Whether `planned` counts a fine-tune, or what has none of both."""
    if seed is None:
        return True
    others = range(min(_CHOOSING_SEEDS, section.seeds), section.seeds)
    return seed in others or (seed < section.seeds and learning_rate in section.learning_rates)


def choose_learning_rate(tried: Sequence[tuple[float, float]]) -> float:
    """Of (learning rate, dev score) the rate with the best score; of equals the first."""
    return max(tried, key=lambda pair: pair[1])[0]


def rate_beyond(tried: Sequence[float], best: float) -> float | None:
    """The next learning rate where the best is the least or greatest of several, as far from it as
    its neighbour; None where it lies between others, or alone.
    """
    rates = sorted(tried)
    if len(rates) < 2 or best not in (rates[0], rates[-1]):
        return None
    neighbour = rates[1] if best == rates[0] else rates[-2]
    beyond = float(f"{best * best / neighbour:.3g}")
    return beyond if 0 < beyond <= 1 else None


def task_entry(task: str, learnt_from: str | None) -> str:
    """What measurements of a task are kept under, after learning from one of its sets of rows."""
    return task if learnt_from is None else f"{task} from {learnt_from}"


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
    """The model's fine-tunes on the task: those that `finished` has are taken from there, the
    others are made and added. Raises ElsewhereError if other processes have begun some, after all
    others were made.

    The learning rate is the best on dev over two seeds; where that is the grid's last, rates beyond
    it are tried, too. The model is loaded if something is missing. `learnt_from` tells apart the
    fine-tunes of a task that has several sets of training rows; they share their draws. With
    `quantise`, every fine-tune predicts in int8, too, and `scores` says which of both is wanted.
    Raises ConversionError if the model cannot be had in int8.
    """
    bench: Bench | None = None
    entry = task_entry(task.name, learnt_from)
    choosing = range(min(_CHOOSING_SEEDS, section.seeds))

    def fine_tune(number: int, rate: float) -> Entry:
        nonlocal bench
        if bench is None:
            bench = Bench(task, rows, load(), section, pooling, precision, device, quantise)
        draw = draw_for(rows, seed, task.name, number, section.protocol)
        detail = f"{name} on {entry}, seed {number + 1} of {section.seeds}, learning rate {rate:g}"
        counts = is_planned(section, number, rate)
        return bench(draw, rate, lambda share: advance(share if counts else 0, detail))

    def fine_tunes(jobs: Iterable[tuple[float, int]]) -> list[Entry]:
        def of(rate: float, number: int) -> Entry:
            measure = partial(fine_tune, number, rate)
            return finished.measured(name, entry, measure, seed=number, learning_rate=rate)

        return each_here(partial(of, *job) for job in jobs)

    def on_dev(rate: float) -> float:
        return fmean(tuned["dev"] for tuned in fine_tunes(product([rate], choosing)))

    fine_tunes(product(section.learning_rates, choosing))
    best, at_edge = _choose(section.learning_rates, on_dev)
    entries = fine_tunes(product([best], range(section.seeds)))
    return _measured(entries, rows, scores, at_edge)


def _choose(grid: Sequence[float], on_dev: Callable[[float], float]) -> tuple[float, bool]:
    """The learning rate that is best on dev, and whether it is the last that was tried."""
    tried = {rate: on_dev(rate) for rate in grid}
    for _ in range(_GROWTH):
        best = choose_learning_rate([*tried.items()])
        beyond = rate_beyond([*tried], best)
        if beyond is None:
            return best, False
        tried[beyond] = on_dev(beyond)
    best = choose_learning_rate([*tried.items()])
    return best, rate_beyond([*tried], best) is not None


def _measured(
    entries: Sequence[Entry], rows: TaskRows, scores: Literal["scores", "int8"], at_edge: bool
) -> Measured:
    first, is_int8 = entries[0], scores == "int8"
    refused = [entry["int8"] for entry in entries if is_int8 and "reason" in entry["int8"]]
    if refused:
        raise ConversionError(
            f"{refused[0]['reason']} (of the student's {len(entries)} fine-tunes in {len(refused)})"
        )
    predictions = [entry["int8"] if is_int8 else entry for entry in entries]
    return Measured(
        predictions=[decode_predictions(kept["predictions"], rows.classes) for kept in predictions],
        learning_rate=first["learning_rate"],
        rate_at_edge=at_edge,
        dev=[entry["dev"] for entry in entries],
        cut=first["cut"],
        precision="int8" if is_int8 else first["precision"],
        runtime="onnx" if is_int8 else first["runtime"],
        threads=first["threads"],
        commit=first["commit"],
    )
