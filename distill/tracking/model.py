"""The student in MLflow: a logged model that `mlflow.transformers.load_model` loads, and the best
one of its language.

The registered model of a language has a version for each student. Its alias `best` is the version
that keeps most of its teacher: the mean retention over the scores that both versions have, a higher
one moves it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

from distill.models.loading import auto_class
from distill.tracking import served_student
from distill.tracking.keys import clean_key
from distill.tracking.served_student import CLASSES, MASKS, NO_PROMPT, VECTORS

BEST = "best"
_RETENTION = "retention/"


def registered_name(language: str) -> str:
    """What the students of a language go by."""
    return f"distill-{language}"


def log_student(run_id: str, model_id: str, folder: Path, name: str) -> None:
    """Log the transformers model in `folder` as a run's logged model: `mlflow.transformers` loads
    its parts, and its pyfunc answers with a row for each text (see `served_student`).
    """
    import torch
    import transformers
    from huggingface_hub import ModelCard
    from mlflow.models import Model

    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        task, kind = _use(config.architectures or [])
        model = auto_class(config).from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        card = ModelCard.load(folder / "README.md", ignore_metadata_errors=True)
        served = served_config(folder, kind)
    except OSError as error:  # of this disk, not of the store
        raise ValueError(f"the student in {folder} cannot be loaded: {error}") from error
    # MLflow looks up card and licence on the Hub by this name, unless it cannot be one there.
    model.name_or_path = model.config._name_or_path = f"./{name}"
    Model.log(
        artifact_path=None,
        flavor=_Flavor(served),
        flavor_name="transformers",
        transformers_model={"model": model, "tokenizer": tokenizer},
        task=task,
        model_card=card,
        signature=signature_of(config, served),
        input_example=example_of(tokenizer, served),
        pip_requirements=[
            f"torch=={torch.__version__.split('+')[0]}",
            f"transformers=={transformers.__version__}",
            f"numpy=={version('numpy')}",
            f"pandas=={version('pandas')}",
        ],
        run_id=run_id,
        model_id=model_id,
    )


@dataclass(frozen=True, slots=True)
class _Flavor:
    """MLflow's flavour of transformers, but for what its pyfunc does: MLflow's own gives the token
    states of the first text alone.
    """

    served: Mapping[str, Any]

    def save_model(self, path: str, mlflow_model: Any, **options: Any) -> None:
        """Save as MLflow does, with the file beside it that answers."""
        import mlflow

        mlflow.transformers.save_model(
            path=path, mlflow_model=mlflow_model, code_paths=[served_student.__file__], **options
        )
        mlflow_model.flavors["python_function"] |= {
            "loader_module": served_student.__name__.rpartition(".")[2],
            "config": dict(self.served),
        }
        mlflow_model.save(Path(path, "MLmodel"))


def served_config(folder: Path, kind: str) -> dict[str, Any]:
    """What a served student must know besides its weights: what it answers with, and of vectors how
    they are pooled and which prompts there are.
    """
    if kind != VECTORS:
        return {"kind": kind}
    read = {
        file: json.loads((folder / file).read_text(encoding="utf-8"))
        for file in (
            "1_Pooling/config.json",
            "config_sentence_transformers.json",
            "sentence_bert_config.json",
        )
    }
    pooling, whole, length = read.values()
    return {
        "kind": kind,
        "pooling": "cls" if pooling["pooling_mode_cls_token"] else "mean",
        "prompts": whole["prompts"],
        "length": length["max_seq_length"],
    }


def signature_of(config: Any, served: Mapping[str, Any]) -> Any:
    """Texts, the prompt in front of them, and what comes out for each."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import Array

    prompt = next(iter(served.get("prompts", {})), NO_PROMPT)
    outputs = {
        VECTORS: [TensorSpec(np.dtype("float32"), (-1, getattr(config, "hidden_size", -1)))],
        MASKS: [
            ColSpec("string", "filled"),
            ColSpec(Array("string"), "pieces"),
            ColSpec(Array("double"), "scores"),
        ],
        CLASSES: [ColSpec("double", label) for _, label in sorted(config.id2label.items())],
    }[served["kind"]]
    return ModelSignature(
        inputs=Schema([ColSpec("string")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("prompt", "string", prompt)])
        if served["kind"] == VECTORS
        else None,
    )


def example_of(tokenizer: Any, served: Mapping[str, Any]) -> Any:
    """Two texts as a caller would send them, with the prompt of the first kind of text."""
    texts = ["1, 2, 3, 4, 5", "2026-01-01"]
    if served["kind"] == MASKS:
        return [f"{text} {tokenizer.mask_token}" for text in texts]
    prompts = served.get("prompts", {})
    return (texts, {"prompt": next(iter(prompts), NO_PROMPT)}) if prompts else texts


def _use(architectures: Sequence[str]) -> tuple[str, str]:
    """The task in transformers of a model of these classes, and what it answers with."""
    (architecture,) = architectures[:1] or [""]
    if architecture.endswith("ForMaskedLM"):
        return "fill-mask", MASKS
    if architecture.endswith("ForSequenceClassification"):
        return "text-classification", CLASSES
    return "feature-extraction", VECTORS


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
