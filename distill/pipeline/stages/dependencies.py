"""What several stages depend on besides the stages they read, as plain values for a fingerprint."""

from __future__ import annotations

from collections.abc import Iterable

from distill.pipeline.run import Run
from distill.recipe import Source
from distill.recipe.model_reference import OWN_MODELS
from distill.runtime.errors import UserError


def teacher_section(run: Run) -> dict[str, object]:
    """How the teacher is used; its files are the vocabulary stage's."""
    return run.recipe.teacher.model_dump(include={"pooling", "prefixes"})


def describe_sources(run: Run, sources: Iterable[Source]) -> list[dict[str, object]]:
    """The content of sources' files."""
    from distill.corpus.sources import describe_source

    return [describe_source(source, run.hashes) for source in sources]


def describe_baselines(run: Run, models: Iterable[str]) -> list[dict[str, object]]:
    """The files of models that the run does not make; one that is missing is scored so, not
    refused.
    """
    from distill.models import model_identity

    described: list[dict[str, object]] = []
    for name in models:
        if name not in OWN_MODELS:
            try:
                described.append(model_identity(name, "main", run.hashes))
            except UserError:
                described.append({"missing": name})
    return described
