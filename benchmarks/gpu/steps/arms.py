"""Levers, one arm each: students after a few million tokens each, scored on questions that choose
and never on those that are published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.bundle import Bundle, Retrieval
from benchmarks.gpu.steps import Keep, Setting
from benchmarks.gpu.steps.students import Recipe, train, vectors_of
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks

CHOOSING = "squad"
TOKENS = 8_000_000
BOTH: Mapping[str, float] = {"hidden": 1.0, "embedding": 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One student and how it learns."""

    name: str
    recipe: Recipe = field(default_factory=Recipe)
    parts: tuple[Mapping[str, Any], ...] = ({},)
    """What each equal part of the tokens changes in the section."""


ARMS = {
    "learning": (
        Arm(name="hidden + embedding"),
        Arm(name="learning rate 2e-3", parts=({"learning_rate": 2e-3},)),
        Arm(name="batch 16,384", parts=({"batch_tokens": 16_384},)),
        Arm(
            name="hidden, then embedding",
            parts=(
                {"objectives": {"hidden": 1.0}},
                {"objectives": {"hidden": 0.1, "embedding": 1.0}},
            ),
        ),
        Arm(name="embedding x 3", parts=({"objectives": {"hidden": 1.0, "embedding": 3.0}},)),
        Arm(name="learning rate 5e-4", parts=({"learning_rate": 5e-4},)),
        Arm(name="hidden alone", parts=({"objectives": {"hidden": 1.0}},)),
        Arm(name="batch 4,096", parts=({"batch_tokens": 4096},)),
        Arm(name="relations too", parts=({"objectives": {**BOTH, "relations": 1.0}},)),
    ),
    "shape": (
        Arm(name="4 layers, 128 factors", recipe=Recipe(layers=4, embedding_size=128)),
        Arm(name="5 layers, 64 factors", recipe=Recipe(layers=5, embedding_size=64)),
        Arm(name="3 layers, 192 factors", recipe=Recipe(layers=3, embedding_size=192)),
        Arm(name="6 layers, 128 factors", recipe=Recipe(embedding_size=128)),
        Arm(name="4 layers", recipe=Recipe(layers=4)),
        Arm(name="embeddings frozen", recipe=Recipe(frozen=True)),
        Arm(name="3 layers", recipe=Recipe(layers=3)),
    ),
}
"""The most telling first: the time limit may leave the last ones out."""


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Train and score each arm; one that fails says why and the next one follows."""
    tasks = bundle.tasks
    task = tasks.get(CHOOSING) or next(iter(tasks.values()))
    if setting.rehearsal:
        task = task.first(20)
    teacher = bundle.teacher()
    wanted = vectors_of(bundle, teacher, task, setting)
    keep(what="arm", name="teacher", **judge(task, wanted, wanted))
    initial = Recipe().student(bundle, teacher)
    own = vectors_of(bundle, initial, task, setting)
    keep(what="arm", name="untrained", **judge(task, own, wanted))
    chosen = [ARMS[setting.only]] if setting.only else list(ARMS.values())
    for arm in chain.from_iterable(arms[:1] if setting.rehearsal else arms for arms in chosen):
        try:
            figures = measure(arm, bundle, task, wanted, setting)
        except Exception as error:  # one arm must not cost the others
            figures = {"failed": f"{type(error).__name__}: {error}"[:500]}
        keep(what="arm", name=arm.name, **figures)


def measure(
    arm: Arm,
    bundle: Bundle,
    task: Retrieval,
    wanted: tuple[np.ndarray, np.ndarray],
    setting: Setting,
) -> dict[str, Any]:
    """Train one arm, in as many parts as it has, and judge it."""
    teacher = bundle.teacher()
    student = arm.recipe.student(bundle, teacher)
    tokens = (2048 if setting.rehearsal else TOKENS) // len(arm.parts)
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in student.parameters())}
    seconds = 0.0
    for part in arm.parts:
        section = {
            **bundle.manifest.distillation,
            "objectives": dict(BOTH),
            "minutes": None,
            "validations": 1,
            "tokens": tokens,
            **part,
        }
        if setting.rehearsal:
            section |= {"batch_tokens": 512}
        state = train(bundle, student, teacher, arm.recipe, section, setting)
        seconds += state.seconds
        figures |= {f"heldout_{name}": value for name, value in state.fidelity[-1].items()}
    figures |= {"tokens": tokens * len(arm.parts), "seconds": seconds}
    return figures | judge(task, vectors_of(bundle, student, task, setting), wanted)


def judge(
    task: Retrieval,
    vectors: tuple[np.ndarray, np.ndarray],
    wanted: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """MRR@10, and how near the passages' vectors are to the teacher's: the cosine with the means
    taken out, and the share whose nearest other passage is the same.
    """
    ranks = ranks_by_vectors(*vectors, np.array(task.answers))
    own, theirs = (torch.from_numpy(passages) for _, passages in (vectors, wanted))
    centred = torch.cosine_similarity(own - own.mean(0), theirs - theirs.mean(0), dim=-1)
    nearest = [apart(passages).argmax(1) for passages in (own, theirs)]
    return {
        "mrr@10": float(reciprocal_ranks(ranks).mean()),
        "questions": float(len(ranks)),
        "centred_cosine": float(centred.mean()),
        "neighbour_agreement": float((nearest[0] == nearest[1]).float().mean()),
    }


def apart(vectors: torch.Tensor) -> torch.Tensor:
    """Similarities of each to the others, -inf to itself."""
    similarity = vectors @ vectors.T
    return similarity.fill_diagonal_(-torch.inf)
