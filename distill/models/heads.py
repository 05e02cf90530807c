"""The language-model head by itself: hidden states go in, logits over the vocabulary come out; and
the bytes of a piece.

Logits at every position would be the largest tensor of the training by far (XLM-R has 250,000
pieces), and only masked positions need them, which is why the head is applied apart from the
encoder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Head = Callable[[torch.Tensor], torch.Tensor]
"""From hidden states [N, D] to logits [N, V]."""

_HEADS = {
    "lm_head": ("lm_head",),  # XLM-R, RoBERTa, MPNet, EuroBERT
    "cls.predictions": ("cls.predictions",),  # BERT, DeBERTa
    "predictions.decoder": ("predictions",),  # ALBERT
    "vocab_projector": (
        "vocab_transform",
        "activation",
        "vocab_layer_norm",
        "vocab_projector",
    ),  # DistilBERT
    "generator_lm_head": ("generator_predictions", "generator_lm_head"),  # ELECTRA
    "decoder": ("head", "decoder"),  # ModernBERT
    "pred_layer.proj": ("pred_layer.proj",),  # XLM
}
"""The module that a head is told by, and the modules that it consists of, one after the other."""

_BYTE = re.compile("<0x[0-9A-F]{2}>")


def language_head(model: PreTrainedModel) -> Head:
    """The masked-language-model head, which turns last hidden states [N, D] into logits [N, V].

    Raises ValueError if the model has none of known build, as bare encoders, classifiers and
    decoders have.
    """
    modules = dict(model.named_modules())
    if (
        "lm_predictions.lm_head" in modules
    ):  # DeBERTa's newer one multiplies by the embeddings, which it is handed
        return lambda hidden_ND: model.lm_predictions(hidden_ND, model.get_input_embeddings())
    for telling, names in _HEADS.items():
        # Decoders have an lm_head too, which predicts the next piece.
        masked = telling != "lm_head" or type(model).__name__.endswith("ForMaskedLM")
        if masked and telling in modules and modules.keys() >= set(names):
            return _chain(model, names)
    raise ValueError(f"{type(model).__name__} has no masked-language-model head")


def piece_bytes(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """How many UTF-8 bytes of text each id stands for (int64, [V]), which makes losses comparable
    as bits per byte.

    Of normalised text, and in WordPiece and XLM without the blanks between words. Special tokens,
    the unknown piece among them, stand for none.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    # XLM's own tokenizer has no definition; its pieces are those of a BPE with ends of words.
    definition: dict[str, Any] = (
        json.loads(backend.to_str()) if backend else {"model": {"end_of_word_suffix": "</w>"}}
    )
    model = definition["model"]
    steps = json.dumps(
        [definition.get(step) for step in ("normalizer", "pre_tokenizer", "decoder")],
        ensure_ascii=False,
    )
    byte_level, marked = '"ByteLevel"' in steps, "▁" in steps
    prefix, suffix = (
        model.get("continuing_subword_prefix") or "",
        model.get("end_of_word_suffix") or "",
    )
    added = {token["id"]: token for token in definition.get("added_tokens", [])}
    special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token["special"])}

    def length(piece: str, i: int) -> int:
        if i in special or piece == model.get("unk_token"):
            return 0
        if i in added:  # found in the text as it is written, before any model sees it
            return len(piece.encode())
        if byte_level:  # a character for each byte (Radford et al. 2019, GPT-2)
            return len(piece)
        if _BYTE.fullmatch(piece):
            return 1
        bare = piece.removeprefix(prefix).removesuffix(suffix)
        return len((bare.replace("▁", " ") if marked else bare).encode())

    ids = tokenizer.get_vocab()
    sizes = np.zeros(max(ids.values()) + 1, dtype=np.int64)
    for piece, i in ids.items():
        sizes[i] = length(piece, i)
    return sizes


def _chain(model: PreTrainedModel, names: tuple[str, ...]) -> Head:
    def head(hidden_ND: torch.Tensor) -> torch.Tensor:
        for name in names:
            hidden_ND = model.get_submodule(name)(hidden_ND)
        return hidden_ND

    return head
