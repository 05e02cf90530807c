"""A student for queries beside its trimmed teacher for documents, measured wherever it is made."""

from __future__ import annotations

from typing import Any

from distill.recipe.evaluation import EvaluationSection

ASYMMETRIC = "asymmetric"
"""The two together, as a model that retrieval is measured with."""


def with_asymmetric(recipe: Any) -> Any:
    """A recipe's plain values with `asymmetric` among the models where it is exported and something
    is retrieved; what is no such recipe is left to the type check.
    """
    try:
        evaluation = recipe["evaluation"]
        retrieves = any(task["kind"] == "retrieval" for task in evaluation["tasks"])
        models = evaluation.get("models", EvaluationSection.model_fields["models"].default)
        wanted = recipe["export"]["asymmetric"] is True and retrieves and ASYMMETRIC not in models
    except (AttributeError, KeyError, TypeError):
        return recipe
    if not wanted:
        return recipe
    return {**recipe, "evaluation": {**evaluation, "models": [*models, ASYMMETRIC]}}
