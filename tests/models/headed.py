"""Tiny fine-tuned models with random weights: every kind of head on every family's shape."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

LABELS = {"id2label": {0: "fara", 1: "lugn", 2: "okänt"}}
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": ("SequenceClassification", LABELS),
    "labels": (
        "SequenceClassification",
        {**LABELS, "problem_type": "multi_label_classification"},
    ),
    "number": ("SequenceClassification", {"num_labels": 1, "problem_type": "regression"}),
    "pair score": ("SequenceClassification", {"num_labels": 1}),
    "tags": ("TokenClassification", LABELS),
    "answer span": ("QuestionAnswering", {}),
}
"""By what a head answers, the class of its model and what its config says."""
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_SPECIAL = {
    "max_position_embeddings": 80,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
FAMILIES: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "xlm-roberta": (XLMRobertaConfig, _SIZES),
    "bert": (BertConfig, _SIZES),
    "distilbert": (DistilBertConfig, {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}),
    "modernbert": (ModernBertConfig, {**_SIZES, "cls_token_id": 0, "sep_token_id": 2}),
    "mpnet": (MPNetConfig, _SIZES),
    "deberta-v2": (
        DebertaV2Config,
        {
            **_SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
        },
    ),
}


def headed_model(family: str, task: str, vocabulary: int = 211, **config: Any) -> Any:
    """A model no weight of which is 0 or 1, as biases and norms of a fresh one are."""
    kind, says = HEADS[task]
    make, sizes = FAMILIES[family]
    torch.manual_seed(0)
    made = make(**{**sizes, **_SPECIAL, **says, "vocab_size": vocabulary, **config})
    auto = getattr(transformers, f"AutoModelFor{kind}")
    model = auto.from_config(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model
