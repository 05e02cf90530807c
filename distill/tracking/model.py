"""The student in MLflow: a logged model that `mlflow.transformers.load_model` loads, and the best
one of its language.

The registered model of a language has a version for each student. Its alias `best` is the version
that keeps most of its teacher: the mean retention over the scores that both versions have, a higher
one moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

from distill.models.loading import auto_class
from distill.tracking.keys import clean_key

BEST = "best"
_RETENTION = "retention/"
_TASKS = {
    "MaskedLM": "fill-mask",
    "SequenceClassification": "text-classification",
    "TokenClassification": "token-classification",
}
"""By what a model is for, the pipeline that MLflow makes of it."""


def registered_name(language: str) -> str:
    """What the students of a language go by."""
    return f"distill-{language}"


def log_student(run_id: str, model_id: str, folder: Path, name: str) -> None:
    """Log the transformers model in `folder` as a run's logged model."""
    import mlflow
    import torch
    import transformers
    from huggingface_hub import ModelCard

    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        model = auto_class(config).from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        card = ModelCard.load(folder / "README.md", ignore_metadata_errors=True)
    except OSError as error:  # of this disk, not of the store
        raise ValueError(f"the student in {folder} cannot be loaded: {error}") from error
    # MLflow looks up card and licence on the Hub by this name, unless it cannot be one there.
    model.name_or_path = model.config._name_or_path = f"./{name}"
    mlflow.transformers.log_model(
        transformers_model={"model": model, "tokenizer": tokenizer},
        task=_TASKS.get(type(model).__name__.rpartition("For")[2], "feature-extraction"),
        model_card=card,
        pip_requirements=[
            f"torch=={torch.__version__.split('+')[0]}",
            f"transformers=={transformers.__version__}",
        ],
        run_id=run_id,
        model_id=model_id,
    )


def register_student(client: Any, model_uri: str, name: str, retention: Mapping[str, float]) -> str:
    """Make a logged student a version of the registered model `name`, the best one if it is; what
    came of it, in words.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    retention = {clean_key(score): value for score, value in retention.items()}
    tags = {f"{_RETENTION}{score}": str(value) for score, value in retention.items()}
    with redirect_stderr(StringIO()):  # MLflow tells it there, without being asked
        version = mlflow.register_model(model_uri, name, tags=tags).version
    try:
        best = client.get_model_version_by_alias(name, BEST)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        best = None
    is_better, why = _compare(retention, None if best is None else _retention_of(best.tags))
    if is_better:
        client.set_registered_model_alias(name, BEST, version)
        return f"version {version} of {name} is the best so far: {why}."
    return f"version {version} of {name} is not made the best: {why}."


def _retention_of(tags: Mapping[str, str]) -> dict[str, float]:
    return {
        key.removeprefix(_RETENTION): float(value)
        for key, value in tags.items()
        if key.startswith(_RETENTION)
    }


def _compare(new: Mapping[str, float], best: Mapping[str, float] | None) -> tuple[bool, str]:
    """Whether the new student keeps more of its teacher than the best so far, and by which
    figures.
    """
    if not new:
        return False, "no retention was measured"
    if best is None:
        return True, f"retention {fmean(new.values()):.1%}, the first one measured"
    both = new.keys() & best.keys()
    if not both:
        return False, "they have no score in common"
    ours, theirs = (fmean(found[score] for score in both) for found in (new, best))
    return (
        ours > theirs,
        f"retention {ours:.1%} against {theirs:.1%}, over {len(both)} "
        f"score{'s' if len(both) > 1 else ''}",
    )
