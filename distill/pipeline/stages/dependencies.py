"""What several stages depend on besides the stages they read, as plain values for a fingerprint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distill.pipeline.run import Run
from distill.recipe import Source
from distill.recipe.evaluation import OWN_MODELS
from distill.runtime.errors import UserError


def teacher_section(run: Run) -> dict[str, Any]:
    """How the teacher is used: pooling, prefixes, revision."""
    return run.recipe.teacher.model_dump(exclude={"licence"})


def describe_sources(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """The content of sources' files."""
    from distill.corpus.sources import describe_source

    return [describe_source(source) for source in sources]


def describe_baselines(models: Iterable[str]) -> list[dict[str, Any]]:
    """The files of local models that the run does not make itself; one that is not there is scored
    so, not refused.
    """
    from distill.models import model_identity

    described: list[dict[str, Any]] = []
    for name in models:
        if name not in OWN_MODELS:
            try:
                described.append(model_identity(name, "main"))
            except UserError:
                described.append({"missing": name})
    return described
