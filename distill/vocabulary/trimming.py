"""A model and the pieces to keep go in; a model of those pieces comes out, in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from distill.runtime.errors import UserError
from distill.vocabulary.families import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_SPECIAL_ID = ("_token_id", "_index")
"""How a config names the id of a special piece: pad_token_id, or XLM's pad_index."""
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask", "decoder_start")


def renumbering(kept: Iterable[int]) -> dict[int, int]:
    """Old id to new id for the kept pieces: their order stays, so `<s> <pad> </s> <unk>` stay first
    and `<mask>` last.
    """
    return {int(old): new for new, old in enumerate(sorted(set(kept)))}


def embedding_rows(model: PreTrainedModel) -> int:
    """How many ids the model's input embedding has rows for."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_rows(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    """Check that every piece has its row; rows beyond the pieces, as padding leaves them, do no
    harm. Raises UserError.
    """
    if vocabulary.size > (rows := embedding_rows(model)):
        raise UserError(
            f"its tokenizer has ids up to {vocabulary.size - 1:,} and its embedding "
            f"{rows:,} rows; "
            "they do not belong together, or pieces were added without resize_token_embeddings.",
            key="teacher.model",
        )


def piece_parameters(model: PreTrainedModel) -> int:
    """How many parameters a piece has: its row in the embedding, and in an untied output layer and
    its bias.
    """
    rows = embedding_rows(model)
    sized = (parameter for parameter in model.parameters() if parameter.shape[:1] == (rows,))
    return sum(parameter.numel() // rows for parameter in sized)


def special_ids(config: PreTrainedConfig) -> dict[str, int]:
    """The ids of special pieces that a config names, by the name of the attribute."""
    names = (role + ending for role in _ROLES for ending in _SPECIAL_ID)
    by_name = {name: getattr(config, name, None) for name in names}
    return {
        name: i
        for name, i in by_name.items()
        if isinstance(i, int) and not isinstance(i, bool) and i >= 0
    }


@torch.no_grad()
def trim_model(
    model: PreTrainedModel, new_ids: dict[int, int], *, shared: bool = False
) -> PreTrainedModel:
    """A copy of `model` whose vocabulary is the kept pieces: input embeddings, output head and its
    bias, and config ids.

    Everything else is copied as it is, so hidden states over kept pieces are equal to the last bit;
    with `shared` it is not copied but the model's own, for a copy that is only read. Works for
    every architecture whose state has nothing else with as many rows as the embedding.
    """
    kept, rows = torch.tensor(sorted(new_ids), dtype=torch.long), embedding_rows(model)
    config = copy.deepcopy(model.config)
    config.vocab_size = len(kept)
    for name, old in special_ids(config).items():
        setattr(config, name, new_ids.get(old))
    with torch.device("meta"):
        trimmed = type(model)(config)
    remove_absent(trimmed, model)
    expected = trimmed.state_dict()
    state: dict[str, torch.Tensor] = {}
    copies: dict[
        int, torch.Tensor
    ] = {}  # tied weights are one tensor under two names: cut once, tied again below
    for name, tensor in model.state_dict().items():
        sized_by_vocabulary = tensor.shape[:1] == (rows,) and expected[name].shape[:1] == (
            len(kept),
        )
        if tensor.data_ptr() not in copies:
            whole = tensor if shared else tensor.clone()
            copies[tensor.data_ptr()] = tensor[kept] if sized_by_vocabulary else whole
        state[name] = copies[tensor.data_ptr()]
    trimmed.load_state_dict(state, assign=True)
    _copy_buffers(trimmed, model)
    trimmed.tie_weights()
    return trimmed.eval()


def remove_absent(target: torch.nn.Module, source: torch.nn.Module) -> None:
    """Remove what the source was made without, which its config does not tell
    (`add_pooling_layer=False`).
    """
    known = dict(source.named_modules())
    for name in [name for name, _ in target.named_modules() if name not in known]:
        parent, _, leaf = name.rpartition(".")
        if parent in known:
            setattr(target.get_submodule(parent), leaf, None)


def _copy_buffers(target: torch.nn.Module, source: torch.nn.Module) -> None:
    """Copy the buffers that no state dict carries (position ids, rotary frequencies), which have no
    values yet.
    """
    modules = dict(source.named_modules())
    for name, module in target.named_modules():
        for label, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                module.register_buffer(
                    label, modules[name].get_buffer(label).clone(), persistent=False
                )
