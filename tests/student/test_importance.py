from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM

from distill.student.importance import accumulate_gradients, corruption_loss, mask_pieces
from tests.student.test_width import batch, every_family, every_head, random_model

SPECIAL, MASK = {0, 1, 2, 3}, 4


def gradients_of(
    model: Any, seed: int = 0, batches: list[tuple[Tensor, Tensor]] | None = None
) -> dict[str, Tensor]:
    model.zero_grad()
    accumulate_gradients(model, batches or [batch()], special_ids=SPECIAL, mask_id=MASK, seed=seed)
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def masked(
    ids_BL: Tensor, mask_BL: Tensor, mask_id: int | None = MASK, seed: int = 0
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return mask_pieces(ids_BL, mask_BL, special_ids=SPECIAL, mask_id=mask_id, generator=generator)


@every_family
@every_head
def test_every_layer_gets_a_gradient(family: str, auto: Any) -> None:
    model = random_model(family, auto)
    found = gradients_of(model)
    matrices = [
        name
        for name, parameter in model.base_model.named_parameters()
        if parameter.dim() == 2 and "layer" in name
    ]
    prefix = f"{model.base_model_prefix}." if auto is AutoModelForMaskedLM else ""
    assert matrices
    assert all(found[prefix + name].abs().sum() > 0 for name in matrices)


@every_head
def test_the_seed_decides_the_gradient(auto: Any) -> None:
    model = random_model("xlm-roberta", auto)
    first, again, other = gradients_of(model), gradients_of(model), gradients_of(model, seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_gradients_of_batches_add_up() -> None:
    model = random_model("bert")
    once = gradients_of(model)
    accumulate_gradients(model, [batch()], special_ids=SPECIAL, mask_id=MASK, seed=0)
    for name, parameter in model.named_parameters():
        if name in once:
            torch.testing.assert_close(parameter.grad, 2 * once[name])


def test_rows_taken_a_few_at_once_give_the_gradient_of_all_together() -> None:
    model = random_model("bert", AutoModelForMaskedLM)
    ids_BL = torch.randint(5, 200, (10, 12), generator=torch.Generator().manual_seed(1))
    mask_BL = torch.ones_like(ids_BL)
    found = gradients_of(model, batches=[(ids_BL, mask_BL)])
    model.zero_grad()
    corruption_loss(model, ids_BL, mask_BL, *masked(ids_BL, mask_BL)).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_model_trains_afterwards_as_it_did_before_and_dropout_is_off_meanwhile() -> None:
    model = random_model("bert").train()
    first, again = gradients_of(model), gradients_of(model)
    assert model.training
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_text_without_a_piece_to_mask_is_refused() -> None:
    ids_BL = torch.tensor([[0, 2]])
    with pytest.raises(ValueError, match="no piece that could be masked"):
        gradients_of(random_model("bert"), batches=[(ids_BL, torch.ones_like(ids_BL))])


def test_a_batch_of_special_pieces_among_others_is_passed_over() -> None:
    ids_BL = torch.tensor([[0, 2]])
    assert gradients_of(random_model("bert"), batches=[(ids_BL, torch.ones_like(ids_BL)), batch()])


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM])
def test_padding_has_no_part_in_the_loss(auto: Any) -> None:
    model = random_model("xlm-roberta", auto)
    ids_BL, mask_BL = batch()
    masked_BL, chosen_BL = masked(ids_BL, mask_BL)
    changed = [torch.where(mask_BL.bool(), ids, 7) for ids in (ids_BL, masked_BL)]
    losses = [
        corruption_loss(model, ids, mask_BL, corrupted, chosen_BL)
        for ids, corrupted in ((ids_BL, masked_BL), (changed[0], changed[1]))
    ]
    torch.testing.assert_close(*losses)


def test_fifteen_in_a_hundred_pieces_are_masked_and_no_special_or_padding() -> None:
    ids_BL = torch.full((4, 60), 9)
    ids_BL[:, 0], mask_BL = 0, torch.ones_like(ids_BL)
    mask_BL[:, 51:] = 0
    masked_BL, chosen_BL = masked(ids_BL, mask_BL)
    assert chosen_BL.sum() == 30  # of 4 x 50
    assert torch.equal(masked_BL == MASK, chosen_BL)
    assert not chosen_BL[:, 0].any() and not chosen_BL[:, 51:].any()


def test_at_least_one_piece_is_masked() -> None:
    ids_BL = torch.tensor([[0, 9, 2]])
    masked_BL, chosen_BL = masked(ids_BL, torch.ones_like(ids_BL))
    assert masked_BL.tolist() == [[0, MASK, 2]] and chosen_BL.sum() == 1


def test_without_a_mask_piece_others_of_the_batch_take_the_place() -> None:
    ids_BL = torch.arange(5, 105).view(2, 50)
    masked_BL, chosen_BL = masked(ids_BL, torch.ones_like(ids_BL), mask_id=None)
    assert set(masked_BL.flatten().tolist()) <= set(ids_BL.flatten().tolist())
    assert torch.equal(masked_BL != ids_BL, chosen_BL)
