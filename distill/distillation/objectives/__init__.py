"""The objectives that a recipe can weight: one file each, one line here."""

from __future__ import annotations

from distill.distillation.objectives.attention import ATTENTION
from distill.distillation.objectives.embedding import EMBEDDING
from distill.distillation.objectives.hidden import HIDDEN
from distill.distillation.objectives.logits import LOGITS
from distill.distillation.objectives.mlm import MLM
from distill.distillation.objectives.objective import Comparison, Models, Objective
from distill.distillation.objectives.relations import RELATIONS
from distill.distillation.objectives.task import TASK
from distill.recipe.objectives import register_key

__all__ = ["OBJECTIVES", "Comparison", "Models", "Objective", "register", "weighted"]

OBJECTIVES: dict[str, Objective] = {
    objective.key: objective
    for objective in (HIDDEN, RELATIONS, ATTENTION, EMBEDDING, LOGITS, MLM, TASK)
}
"""By key, in the order in which they are computed."""


def register(objective: Objective, *, masked: bool = False) -> None:
    """Let recipes weight `objective`; `masked` says that it predicts masked pieces."""
    OBJECTIVES[objective.key] = objective
    register_key(objective.key, masked=masked)


def weighted(weights: dict[str, float]) -> list[Objective]:
    """The objectives of these weights, in the order in which they are computed."""
    return [objective for key, objective in OBJECTIVES.items() if key in weights]
