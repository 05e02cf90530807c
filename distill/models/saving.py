"""Models and tokenizers to folders that any version of the stack reads, with nothing of this
machine in them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# How a tokenizer was last called, and where it was loaded from, is nobody else's business.
_TRANSIENT = (
    "is_local",
    "local_files_only",
    "max_length",
    "stride",
    "truncation_strategy",
    "pad_to_multiple_of",
    "backend",
)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a stock folder: config.json, model.safetensors, tokenizer.json,
    tokenizer_config.json.
    """
    model.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(
            0o644
        )  # safetensors writes for the owner alone, which a shared folder or a server can't use
    save_tokenizer(tokenizer, folder)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the tokenizer's files, without the truncation and padding of its last call."""
    tokenizer.save_pretrained(folder)
    definition_file, config_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if definition_file.is_file():  # XLM's tokenizer has none
        definition = json.loads(definition_file.read_text(encoding="utf-8"))
        definition_file.write_text(
            json.dumps({**definition, "truncation": None, "padding": None}, ensure_ascii=False),
            encoding="utf-8",
        )
    config = {
        key: value
        for key, value in json.loads(config_file.read_text(encoding="utf-8")).items()
        if key not in _TRANSIENT
    }
    if (
        config.get("tokenizer_class") == "TokenizersBackend"
    ):  # transformers 5's name for what every version knows as this:
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config_file.write_text(
        json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
