"""What several stages depend on besides the stages they read, as plain values for a fingerprint."""

from __future__ import annotations

from collections.abc import Iterable

from distill.pipeline.run import Run
from distill.recipe import Source
from distill.recipe.model_reference import OWN_MODELS
from distill.runtime.errors import UserError


def teacher_section(run: Run) -> dict[str, object]:
    """How the teacher is used; its files are the vocabulary stage's, but for those of Dense layers
    after pooling.
    """
    used = run.recipe.teacher.model_dump(include={"pooling", "prefixes"})
    files = run.sentence_files
    dense = [module.config for module in files.after if module.kind == "Dense"]
    described = {
        "dense": dense,
        "similarity": None if files.similarity == "cosine" else files.similarity,
        "width": files.width,
        "dimensions": list(run.recipe.teacher.dimensions or files.dimensions),
    }
    form: dict[str, object] = {key: value for key, value in described.items() if value}
    if dense:
        from distill.models.loading import sentence_folder

        folder = sentence_folder(run.recipe.teacher.model, run.recipe.teacher.revision)
        form["layers"] = run.hashes.of_folder(folder, sorted(folder.glob("*Dense*/*")))
    return {**used, **({"form": form} if form else {})}


def vectors_length(run: Run) -> dict[str, object]:
    """Up to how many tokens the teacher's files have its texts read for a vector; nothing where
    they say nothing.
    """
    length = run.sentence_files.length
    return {} if length is None else {"length": length}


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
