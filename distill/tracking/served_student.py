"""A student as MLflow's pyfunc and `mlflow models serve` answer with it: a row for each text.

This file alone travels with a logged model, and imports nothing of distill: whoever loads the model
need not have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

VECTORS, MASKS, CLASSES = "vectors", "masks", "classes"
"""What a student answers with."""
NO_PROMPT = "none"
"""The name of the prompt of texts that have theirs already."""
_BATCH = 32


class ServedStudent:
    """A student that answers a list of texts with sentence vectors, filled masks or class
    scores.
    """

    def __init__(
        self, model: Any, tokenizer: Any, config: Mapping[str, Any], path: Path | None = None
    ) -> None:
        """`path` is the logged model's folder, which holds the weights of Dense layers."""
        self._model, self._tokenizer, self._config = model.eval(), tokenizer, config
        self._layers = [_layer(layer, path or Path()) for layer in config.get("layers", ())]

    def predict(
        self, model_input: Any, params: Mapping[str, Any] | None = None
    ) -> npt.NDArray[np.float32] | pd.DataFrame:
        """A row for each text of a list, a single string or the first column of a table.

        Of a student that gives vectors, `params["prompt"]` says what goes in front of each text.
        Raises ValueError for a prompt that it does not have.
        """
        prompt = self._prompt((params or {}).get("prompt") or NO_PROMPT)
        texts = [f"{prompt}{text}" for text in _as_texts(model_input)]
        answer = {VECTORS: self._vectors, MASKS: self._filled, CLASSES: self._scores}
        return answer[self._config["kind"]](texts)

    def _prompt(self, name: str) -> str:
        prompts = {NO_PROMPT: "", **self._config.get("prompts", {})}
        if name not in prompts:
            raise ValueError(f"prompt: expected one of {', '.join(prompts)}; found {name!r}")
        return str(prompts[name])

    def _vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import numpy as np
        import torch

        vectors = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                batch = self._batch(texts[start : start + _BATCH])
                states = self._model.base_model(**batch).last_hidden_state
                pooled = _pool(states, batch["attention_mask"], self._config["pooling"])
                for layer in self._layers:
                    pooled = layer(pooled)
                vectors.append(pooled[:, : self._config.get("dimensions")].numpy())
        width = self._config.get("width", self._model.config.hidden_size)
        return np.concatenate(vectors or [np.empty((0, width), np.float32)])

    def _filled(self, texts: Sequence[str]) -> pd.DataFrame:
        """The text with every mask filled, and the pieces that fill it with their
        probabilities.
        """
        import pandas as pd
        import torch

        rows = []
        with torch.inference_mode():
            for text in texts:  # each alone: logits are as wide as the vocabulary
                batch = self._batch([text])
                ids = batch["input_ids"][0]
                masked = (ids == self._tokenizer.mask_token_id).nonzero().flatten()
                logits = self._model(**batch).logits[0, masked]
                scores, pieces = logits.softmax(-1).max(-1)
                ids[masked] = pieces
                rows.append(
                    {
                        "filled": self._tokenizer.decode(ids, skip_special_tokens=True),
                        "pieces": [self._tokenizer.decode([piece]).strip() for piece in pieces],
                        "scores": scores.double().tolist(),
                    }
                )
        return pd.DataFrame(rows, columns=["filled", "pieces", "scores"])

    def _scores(self, texts: Sequence[str]) -> pd.DataFrame:
        """The probability of each class, a column for each label."""
        import pandas as pd
        import torch

        labels = [label for _, label in sorted(self._model.config.id2label.items())]
        rows: list[list[float]] = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                logits = self._model(**self._batch(texts[start : start + _BATCH])).logits
                rows += logits.softmax(-1).double().tolist()
        return pd.DataFrame(rows, columns=labels)

    def _batch(self, texts: Sequence[str]) -> Any:
        return self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._config.get("length"),
            return_tensors="pt",
        )


def _pool(states: Any, mask: Any, pooling: str) -> Any:
    """Sentence vectors by the ways that sentence-transformers knows."""
    import torch

    if pooling == "cls":
        return states[:, 0]
    if pooling == "lasttoken":
        return states[torch.arange(len(states)), mask.sum(1) - 1]
    weight = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "max":
        return states.masked_fill(weight == 0, -torch.inf).amax(1)
    if pooling == "weightedmean":
        weight = weight * weight.cumsum(1)
    total = weight.sum(1).sqrt() if pooling == "mean_sqrt_len_tokens" else weight.sum(1)
    return (states * weight).sum(1) / total


def _layer(described: Mapping[str, Any], path: Path) -> Any:
    """A layer after pooling: Dense, where it has an activation, else vectors of length 1."""
    import torch
    from safetensors.torch import load_file

    if not described["activation"]:
        return lambda vectors: torch.nn.functional.normalize(vectors, dim=-1)
    weights = load_file(path / described["folder"] / "model.safetensors")
    activate = getattr(torch.nn, described["activation"].rsplit(".", 1)[-1])()
    weight, bias = weights["linear.weight"], weights.get("linear.bias")
    return lambda vectors: activate(torch.nn.functional.linear(vectors, weight, bias))


def _as_texts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if hasattr(given, "iloc"):  # a table of pandas
        given = given.iloc[:, 0] if given.ndim == 2 else given
    return [str(text) for text in given]


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> ServedStudent:
    """What MLflow calls with a logged model's folder."""
    import transformers

    config = dict(model_config or {})
    auto = {
        VECTORS: transformers.AutoModel,
        MASKS: transformers.AutoModelForMaskedLM,
        CLASSES: transformers.AutoModelForSequenceClassification,
    }[config["kind"]]
    return ServedStudent(
        auto.from_pretrained(Path(path, "model")),
        transformers.AutoTokenizer.from_pretrained(Path(path, "components", "tokenizer")),
        config,
        Path(path),
    )
