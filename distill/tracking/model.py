"""The student in MLflow: a logged model that `mlflow.transformers.load_model` loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.models.after_pooling import read_after_pooling
from distill.models.loading import auto_class
from distill.models.sentence import SentenceFiles, read_sentence_files
from distill.models.task_heads import HeadTask, task_head
from distill.tracking import served_student
from distill.tracking.served_student import (
    ANSWERS,
    CLASSES,
    LABELS,
    MASKS,
    NO_PROMPT,
    NUMBERS,
    PAIRS,
    TAGS,
    VECTORS,
)

_PAIR_COLUMNS = {PAIRS: ("text", "text_pair"), ANSWERS: ("question", "context")}
"""The columns of what is asked of those that read pairs."""
_USES: dict[HeadTask, tuple[str, str]] = {
    "classes": ("text-classification", CLASSES),
    "labels": ("text-classification", LABELS),
    "number": ("text-classification", NUMBERS),
    "pair score": ("text-classification", PAIRS),
    "tags": ("token-classification", TAGS),
    "answer span": ("feature-extraction", ANSWERS),
}
"""By what a head answers, its task in transformers, where there is one, and what the served student
answers with.
"""


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
        task, kind = _use(config)
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
        flavor=_Flavor(served, folder),
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
    folder: Path

    def save_model(self, path: str, mlflow_model: Any, **options: Any) -> None:
        """Save as MLflow does, with the file beside it that answers, and Dense layers."""
        import mlflow

        mlflow.transformers.save_model(
            path=path, mlflow_model=mlflow_model, code_paths=[served_student.__file__], **options
        )
        for layer in self.served.get("layers", ()):
            if layer["activation"]:
                shutil.copytree(self.folder / layer["folder"], Path(path, layer["folder"]))
        mlflow_model.flavors["python_function"] |= {
            "loader_module": served_student.__name__.rpartition(".")[2],
            "config": dict(self.served),
        }
        mlflow_model.save(Path(path, "MLmodel"))


def served_config(folder: Path, kind: str) -> Mapping[str, Any]:
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
    _, settings, length = read.values()
    files = read_sentence_files(folder)
    layers = [
        {"folder": module.path, "activation": module.config.get("activation_function")}
        for module in files.after
    ]
    return {
        "kind": kind,
        "pooling": files.pooling,
        "layers": layers,
        "dimensions": files.width,
        "width": width_of_vectors(folder, files),
        "prompts": settings["prompts"],
        "length": length["max_seq_length"],
    }


def width_of_vectors(folder: Path, files: SentenceFiles) -> int:
    """How many numbers a vector of the student in `folder` has."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden = int(config.get("hidden_size") or config["dim"])
    return read_after_pooling(folder, files).output_width(hidden)


def signature_of(config: Any, served: Mapping[str, Any]) -> Any:
    """Texts, the prompt in front of them, and what comes out for each."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import Array

    prompt = next(iter(served.get("prompts", {})), NO_PROMPT)
    of_labels = [ColSpec("double", label) for _, label in sorted(config.id2label.items())]
    outputs = {
        VECTORS: [TensorSpec(np.dtype("float32"), (-1, served.get("width", -1)))],
        MASKS: [
            ColSpec("string", "filled"),
            ColSpec(Array("string"), "pieces"),
            ColSpec(Array("double"), "scores"),
        ],
        CLASSES: of_labels,
        LABELS: of_labels,
        NUMBERS: [ColSpec("double", "number")],
        PAIRS: [ColSpec("double", "score")],
        TAGS: [ColSpec(Array("string"), "words"), ColSpec(Array("string"), "tags")],
        ANSWERS: [ColSpec("string", "answer")],
    }[served["kind"]]
    pair = _PAIR_COLUMNS.get(served["kind"])
    return ModelSignature(
        inputs=Schema([ColSpec("string", name) for name in pair] if pair else [ColSpec("string")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("prompt", "string", prompt)])
        if served["kind"] == VECTORS
        else None,
    )


def example_of(tokenizer: Any, served: Mapping[str, Any]) -> Any:
    """Two texts as a caller would send them, with the prompt of the first kind of text; or a table
    of pairs.
    """
    if columns := _PAIR_COLUMNS.get(served["kind"]):
        import pandas as pd

        return pd.DataFrame([["1, 2, 3?", "1, 2, 3, 4, 5"]], columns=list(columns))
    texts = ["1, 2, 3, 4, 5", "2026-01-01"]
    if served["kind"] == MASKS:
        return [f"{text} {tokenizer.mask_token}" for text in texts]
    prompts = served.get("prompts", {})
    return (texts, {"prompt": next(iter(prompts), NO_PROMPT)}) if prompts else texts


def _use(config: Any) -> tuple[str, str]:
    """The task in transformers of a model with this config, and what it answers with."""
    architecture = next(iter(config.architectures or []), "")
    if architecture.endswith("ForMaskedLM"):
        return "fill-mask", MASKS
    head = task_head(config)
    return ("feature-extraction", VECTORS) if head is None else _USES[head.task]
