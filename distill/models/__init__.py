"""What a model is here: how it is named, loaded, saved and counted."""

from distill.models.loading import (
    LoadedModel,
    load_config,
    load_model,
    load_tokenizer,
    load_with_tokenizer,
    model_identity,
)

__all__ = [
    "LoadedModel",
    "load_config",
    "load_model",
    "load_tokenizer",
    "load_with_tokenizer",
    "model_identity",
]
