"""What one seed draws of a task: rows by number, and the seed of head, order and dropout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.evaluation.tasks import TaskRows


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What one seed draws: rows by number, and the seed of head, order and dropout."""

    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    torch_seed: int


def draw_rows(
    seed: int, task: str, number: int, *, train: int, dev: int, test: int, anew: bool
) -> Draw:
    """The draws of the seed of that number: all rows, or `anew` as many as there are, some twice
    (EuroEval's bootstraps, Nielsen 2023).
    """
    random = np.random.default_rng([seed, number, *task.encode()])

    def rows(count: int) -> np.ndarray:
        return random.integers(count, size=count) if anew else np.arange(count)

    return Draw(
        train=rows(train), dev=rows(dev), test=rows(test), torch_seed=int(random.integers(2**31))
    )


def draw_for(rows: TaskRows, seed: int, task: str, number: int, protocol: str = "distill") -> Draw:
    """The seed's draw of a task's rows."""
    return draw_rows(
        seed,
        task,
        number,
        train=len(rows.train),
        dev=len(rows.dev),
        test=len(rows.test),
        anew=protocol == "euroeval",
    )
