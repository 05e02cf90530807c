"""Configurations and recipes that plans and checks are tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import (
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    PreTrainedConfig,
    XLMRobertaConfig,
)

from distill.recipe import Recipe

SIZES = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
}
COMMON = {"vocab_size": 200, "max_position_embeddings": 64, "pad_token_id": 1}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(**SIZES, **COMMON),
    "xlm-roberta": lambda: XLMRobertaConfig(**SIZES, **COMMON),
    "distilbert": lambda: DistilBertConfig(dim=32, n_heads=4, hidden_dim=64, n_layers=4, **COMMON),
    "modernbert": lambda: ModernBertConfig(
        **SIZES, **COMMON, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2
    ),
}
SECTIONS = [
    {"layers": 4},
    {"layers": [1, 4]},
    {"layers": 4, "intermediate_size": 24},
    {"layers": [1, 2], "hidden_size": 16},
    {"layers": [1, 3, 4], "hidden_size": 8, "intermediate_size": 40},
]


def recipe_of(teacher: Path | str, **changes: Any) -> Recipe:
    sections: dict[str, Any] = {
        "name": "tiny",
        "language": "sv",
        "teacher": {"model": str(teacher)},
        "corpus": {"sources": [{"hub": "organisation/text"}]},
        "student": {"layers": 2},
    }
    return Recipe.model_validate(sections | changes)
