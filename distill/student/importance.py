"""What units are worth to the language: batches of its text go in; the gradients of a loss on them
stay in the model.

A model compared with itself has no gradient, so the text is corrupted first and the model is asked
to undo it. Weight times gradient then estimates what the loss would be without a unit (Molchanov et
al. 2019, 'Importance estimation for neural network pruning', section 3, in torch-pruning's form:
absolute values, summed over a weight and averaged over the group).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MASKED_SHARE = 0.15
"""Of the pieces, as in BERT's training (Devlin et al. 2019)."""
_ROWS_AT_ONCE = 4  # logits over the whole vocabulary at every position are what memory is short of


def accumulate_gradients(
    model: PreTrainedModel,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    special_ids: Collection[int],
    mask_id: int | None,
    seed: int,
) -> None:
    """Adds the gradient of `corruption_loss` on each batch, ids_BL and mask_BL, to the model's own.

    Dropout is off; the same seed masks the same pieces. Raises ValueError if the batches have no
    piece to mask.
    """
    generator = torch.Generator().manual_seed(seed)
    training = model.training
    model.eval()
    empty = True
    for ids_BL, mask_BL in batches:
        masked_BL, chosen_BL = mask_pieces(
            ids_BL, mask_BL, special_ids=special_ids, mask_id=mask_id, generator=generator
        )
        batch = (ids_BL, mask_BL, masked_BL, chosen_BL)
        split = [tensor.split(_ROWS_AT_ONCE) for tensor in batch]  # type: ignore[no-untyped-call]
        parts = zip(*split, strict=True)
        for ids_bL, mask_bL, masked_bL, chosen_bL in parts:
            if share := float(chosen_bL.sum() / chosen_BL.sum().clamp(min=1)):
                inputs = (
                    tensor.to(model.device) for tensor in (ids_bL, mask_bL, masked_bL, chosen_bL)
                )
                (corruption_loss(model, *inputs) * share).backward()  # type: ignore[no-untyped-call]
                empty = False
    model.train(training)
    if empty:
        raise ValueError("the text to compute importance on has no piece that could be masked")


def corruption_loss(
    model: PreTrainedModel, ids_BL: Tensor, mask_BL: Tensor, masked_BL: Tensor, chosen_BL: Tensor
) -> Tensor:
    """What masking costs: the masked-language loss where the model has its head, else how far its
    last states move.

    The states of the unmasked text are the target and get no gradient; the distance is a mean over
    tokens and units.
    """
    if model.get_output_embeddings() is not None:
        labels_BL = ids_BL.masked_fill(~chosen_BL, -100)
        loss: Tensor = model(input_ids=masked_BL, attention_mask=mask_BL, labels=labels_BL).loss
        return loss
    with torch.no_grad():
        target_BLD = model.base_model(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
    states_BLD = model.base_model(input_ids=masked_BL, attention_mask=mask_BL).last_hidden_state
    distance: Tensor = (states_BLD - target_BLD)[mask_BL.bool()].square().mean()
    return distance


def mask_pieces(
    ids_BL: Tensor,
    mask_BL: Tensor,
    *,
    special_ids: Collection[int],
    mask_id: int | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The ids with a share of the pieces masked, at least one where there is any, and which they
    are.

    Without a mask piece other pieces of the batch take their place.
    """
    special = torch.tensor(sorted(special_ids), dtype=ids_BL.dtype)
    candidates_N2 = (mask_BL.bool() & ~torch.isin(ids_BL, special)).nonzero()
    count = min(len(candidates_N2), max(1, round(MASKED_SHARE * len(candidates_N2))))
    drawn = candidates_N2[torch.randperm(len(candidates_N2), generator=generator)]
    rows, columns = drawn[:count].unbind(1)
    others = drawn.roll(count, dims=0)[:count] if count else drawn
    masked_BL, chosen_BL = ids_BL.clone(), torch.zeros_like(ids_BL, dtype=torch.bool)
    masked_BL[rows, columns] = ids_BL[tuple(others.unbind(1))] if mask_id is None else mask_id
    chosen_BL[rows, columns] = True
    return masked_BL, chosen_BL
