"""A model, its tokenizer and the pieces to keep go in; a trimmed model and tokenizer come out, all in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from distill.errors import UserError
from distill.vocabulary import unigram

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def tokenizer_definition(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The parsed `tokenizer.json` of the pipeline that transformers runs.

    Not the file's: transformers 5 rebuilds XLM-R's pipeline when it loads one, and this is what users get.
    Raises UserError if the family is not supported.
    """
    definition: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    if (family := definition["model"]["type"]) != "Unigram":
        raise UserError(
            f"teacher.model: its tokenizer is of the {family} family; vocabulary trimming supports Unigram "
            "(XLM-R, XLM-V, mDeBERTa, multilingual E5, BGE-M3)."
        )
    return definition


def renumbering(kept: Iterable[int]) -> dict[int, int]:
    """Old id to new id for the kept pieces: their order stays, so `<s> <pad> </s> <unk>` stay first and `<mask>` last."""
    return {int(old): new for new, old in enumerate(sorted(set(kept)))}


def trim_tokenizer(tokenizer: PreTrainedTokenizerBase, new_ids: dict[int, int]) -> PreTrainedTokenizerBase:
    """A tokenizer with the kept pieces alone.

    It is a plain fast tokenizer: its pipeline is its file, so that transformers and `tokenizers` read the same.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    definition = unigram.trim_definition(tokenizer_definition(tokenizer), new_ids)
    special = {f"{role}_token": str(token) for role in _SPECIAL if (token := getattr(tokenizer, f"{role}_token", None))}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(definition, ensure_ascii=False)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        **special,
    )


def trim_model(model: PreTrainedModel, new_ids: dict[int, int]) -> PreTrainedModel:
    """A copy of `model` whose vocabulary is the kept pieces: input embeddings, output head and its bias, and config ids.

    Everything else is copied as it is, so hidden states over kept pieces are equal to the last bit.
    """
    kept = torch.tensor(sorted(new_ids), dtype=torch.long)
    old_size = model.config.vocab_size
    config = copy.deepcopy(model.config)
    config.vocab_size = len(kept)
    for role in _SPECIAL:
        old = getattr(config, f"{role}_token_id", None)
        if isinstance(old, int):
            setattr(config, f"{role}_token_id", new_ids.get(old))
    with torch.device("meta"):
        trimmed = type(model)(config)
    # What is sized by the vocabulary is cut to the kept rows; the rest is shared with nobody and copied whole.
    embedding, expected = model.get_input_embeddings().weight, trimmed.state_dict()
    state: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        sized_by_vocabulary = tensor.shape[:1] == (old_size,) and expected[name].shape[:1] == (len(kept),)
        state[name] = tensor[kept].clone() if sized_by_vocabulary else tensor.clone()
    assert embedding.shape[0] == old_size, "the embedding has as many rows as the config says"
    trimmed = trimmed.to_empty(device="cpu")
    trimmed.load_state_dict(state)
    _restore_buffers(trimmed, model)
    trimmed.tie_weights()
    return trimmed.eval()


def _restore_buffers(target: torch.nn.Module, source: torch.nn.Module) -> None:
    """Copy the buffers that no state dict carries (position ids), which `to_empty` left unset."""
    buffers = dict(source.named_buffers())
    for name, buffer in target.named_buffers():
        if name in buffers and buffers[name].shape == buffer.shape:
            buffer.copy_(buffers[name])
