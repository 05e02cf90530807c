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

VECTORS, MASKS, CLASSES, LABELS = "vectors", "masks", "classes", "labels"
NUMBERS, PAIRS, TAGS, ANSWERS = "numbers", "pairs", "tags", "answers"
"""What a student answers with."""
NO_PROMPT = "none"
"""The name of the prompt of texts that have theirs already."""
_BATCH = 32
_LONGEST_ANSWER = 30
"""Tokens of an answer at most."""


class ServedStudent:
    """A student that answers a list of texts with sentence vectors, filled masks, or what its
    fine-tuned head says; of pairs, a table of two columns.
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
        """A row for each text of a list, a single string or the first column of a table; for each
        pair of the first two columns where the student reads pairs.

        Of a student that gives vectors, `params["prompt"]` says what goes in front of each text.
        Raises ValueError for a prompt that it does not have.
        """
        kind = self._config["kind"]
        if kind in (PAIRS, ANSWERS):
            return {PAIRS: self._pair_scores, ANSWERS: self._answers}[kind](_as_pairs(model_input))
        prompt = self._prompt((params or {}).get("prompt") or NO_PROMPT)
        texts = [f"{prompt}{text}" for text in _as_texts(model_input)]
        answer = {
            VECTORS: self._vectors,
            MASKS: self._filled,
            CLASSES: self._scores,
            LABELS: self._scores,
            NUMBERS: self._numbers,
            TAGS: self._tags,
        }
        return answer[kind](texts)

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
        """The probability of each class, or of each label's holding, a column for each."""
        import pandas as pd

        labels = [label for _, label in sorted(self._model.config.id2label.items())]
        logits = self._logits(texts)
        several = self._config["kind"] == LABELS
        rows = (logits.sigmoid() if several else logits.softmax(-1)).double().tolist()
        return pd.DataFrame(rows, columns=labels)

    def _numbers(self, texts: Sequence[str]) -> pd.DataFrame:
        """The number that the head gives."""
        import pandas as pd

        return pd.DataFrame({"number": self._logits(texts)[:, 0].double().tolist()})

    def _pair_scores(self, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """How well the second text goes with the first, as the head says it."""
        import pandas as pd

        firsts, seconds = ([pair[side] for pair in pairs] for side in (0, 1))
        return pd.DataFrame({"score": self._logits(firsts, seconds)[:, 0].double().tolist()})

    def _tags(self, texts: Sequence[str]) -> pd.DataFrame:
        """The words of a text, and the tag of each: that of its first token."""
        import pandas as pd
        import torch

        rows, labels = [], self._model.config.id2label
        with torch.inference_mode():
            for text in texts:
                words = text.split()
                batch = self._tokenizer(
                    [words], is_split_into_words=True, truncation=True, return_tensors="pt"
                )
                best = self._model(**batch).logits[0].argmax(-1).tolist()
                first: dict[int, int] = {}
                for at, word in enumerate(batch.word_ids(0)):
                    if word is not None:
                        first.setdefault(word, at)
                tags = [labels[best[first[i]]] if i in first else "" for i in range(len(words))]
                rows.append({"words": words, "tags": tags})
        return pd.DataFrame(rows, columns=["words", "tags"])

    def _answers(self, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """The words of each passage that answer the question before it."""
        import pandas as pd
        import torch

        found = []
        with torch.inference_mode():
            for question, passage in pairs:
                batch = self._tokenizer(
                    question,
                    passage,
                    truncation="only_second",
                    return_offsets_mapping=True,
                    return_tensors="pt",
                )
                offsets = batch.pop("offset_mapping")[0].tolist()
                output = self._model(**batch)
                sums = output.start_logits[0][:, None] + output.end_logits[0][None, :]
                inside = torch.tensor([side == 1 for side in batch.sequence_ids(0)])
                allowed = (inside[:, None] & inside[None, :]).triu().tril(_LONGEST_ANSWER - 1)
                best = int(sums.masked_fill(~allowed, -torch.inf).argmax())
                first, last = divmod(best, len(inside))
                found.append(passage[offsets[first][0] : offsets[last][1]])
        return pd.DataFrame({"answer": found})

    def _logits(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> Any:
        """What the head says of each text, or pair."""
        import torch

        logits = [torch.empty(0, self._model.config.num_labels)]
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                batch = slice(start, start + _BATCH)
                given = self._batch(texts[batch], None if seconds is None else seconds[batch])
                logits.append(self._model(**given).logits.float())
        return torch.cat(logits)

    def _batch(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> Any:
        return self._tokenizer(
            list(texts),
            None if seconds is None else list(seconds),
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


def _as_pairs(given: Any) -> list[tuple[str, str]]:
    rows = given.itertuples(index=False) if hasattr(given, "itertuples") else given
    if isinstance(given, dict):
        rows = zip(*list(given.values())[:2], strict=True)
    pairs = []
    for row in rows:
        parts = list(row.values()) if isinstance(row, dict) else list(row)
        if isinstance(row, str) or len(parts) < 2:
            raise ValueError(
                "expected pairs of texts: a table of two columns, or rows of two texts"
            )
        pairs.append((str(parts[0]), str(parts[1])))
    return pairs


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> ServedStudent:
    """What MLflow calls with a logged model's folder."""
    import transformers

    config = dict(model_config or {})
    auto = {
        VECTORS: transformers.AutoModel,
        MASKS: transformers.AutoModelForMaskedLM,
        TAGS: transformers.AutoModelForTokenClassification,
        ANSWERS: transformers.AutoModelForQuestionAnswering,
    }.get(config["kind"], transformers.AutoModelForSequenceClassification)
    return ServedStudent(
        auto.from_pretrained(Path(path, "model")),
        transformers.AutoTokenizer.from_pretrained(Path(path, "components", "tokenizer")),
        config,
        Path(path),
    )
