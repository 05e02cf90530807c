from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from distill.training.masking import mask_pieces

MASK, PAD, FIRST, VOCABULARY = 4, 1, 5, 100
SPECIAL = frozenset(range(FIRST))


def padded(rows: list[list[int]], length: int = 0, left: bool = False) -> tuple[Tensor, Tensor]:
    """Ids and mask, padded to the longest row or more."""
    length = max(length, *(len(row) for row in rows))
    pads = [length - len(row) for row in rows]
    ids = [
        [PAD] * pad + row if left else row + [PAD] * pad
        for row, pad in zip(rows, pads, strict=True)
    ]
    mask = [
        [0] * pad + [1] * len(row) if left else [1] * len(row) + [0] * pad
        for row, pad in zip(rows, pads, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask)


def masked(ids: Tensor, mask: Tensor, **changes: Any) -> tuple[Tensor, Tensor]:
    options: dict[str, Any] = {"rows": range(len(ids)), "share": 0.15, "seed": 0, "epoch": 0}
    fixed: dict[str, Any] = {"mask_id": MASK, "special_ids": SPECIAL, "vocabulary_size": VOCABULARY}
    return mask_pieces(ids, mask, **fixed | options | changes)


def text(rows: int = 64, length: int = 128, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of random pieces between two special tokens."""
    ids = torch.randint(
        FIRST, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed)
    )
    ids[:, 0], ids[:, -1] = 0, 2
    return ids, torch.ones_like(ids)


rows_of_ids = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20), min_size=2, max_size=5
)


@given(
    rows_of_ids,
    st.integers(0, 2**40),
    st.integers(0, 50),
    st.integers(0, 9),
    st.booleans(),
    st.data(),
)
def test_a_rows_masking_depends_on_neither_its_batch_nor_its_padding(
    rows: list[list[int]], seed: int, epoch: int, extra: int, left: bool, data: st.DataObject
) -> None:
    ids, mask = padded(rows)
    whole, chosen = masked(ids, mask, rows=range(100, 100 + len(rows)), seed=seed, epoch=epoch)
    order = data.draw(st.permutations(range(len(rows))))[: data.draw(st.integers(1, len(rows)))]
    other_ids, other_mask = padded([rows[at] for at in order], length=20 + extra, left=left)
    other, other_chosen = masked(
        other_ids, other_mask, rows=[100 + at for at in order], seed=seed, epoch=epoch
    )
    for place, at in enumerate(order):
        assert torch.equal(other[place][other_mask[place] == 1], whole[at][mask[at] == 1])
        assert torch.equal(other_chosen[place][other_mask[place] == 1], chosen[at][mask[at] == 1])


@given(rows_of_ids, st.sampled_from([0.01, 0.15, 0.5, 1.0]))
def test_a_rounded_share_of_the_ordinary_tokens_is_chosen_and_at_least_one(
    rows: list[list[int]], share: float
) -> None:
    ids, mask = padded(rows)
    _, chosen = masked(ids, mask, share=share)
    ordinary = (mask == 1) & (ids >= FIRST)
    assert not (chosen & ~ordinary).any()
    for count, tokens in zip(chosen.sum(-1).tolist(), ordinary.sum(-1).tolist(), strict=True):
        assert count == (max(1, round(share * tokens)) if tokens else 0)


@given(rows_of_ids)
def test_only_chosen_tokens_change_and_never_into_a_special_one_but_the_mask(
    rows: list[list[int]],
) -> None:
    ids, mask = padded(rows)
    result, chosen = masked(ids, mask, share=1.0)
    assert torch.equal(result[~chosen], ids[~chosen])
    assert (
        (result[chosen] == MASK) | ((result[chosen] >= FIRST) & (result[chosen] < VOCABULARY))
    ).all()


def test_of_the_chosen_four_in_five_are_masked_one_in_ten_replaced_and_one_in_ten_stays() -> None:
    ids, mask = text(rows=400)
    result, chosen = masked(ids, mask)
    before, after = ids[chosen], result[chosen]
    # 7,600 tokens: a standard deviation is below half a percent. One replacement in 95 is the piece
    # itself.
    assert (after == MASK).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert ((after != MASK) & (after != before)).float().mean().item() == pytest.approx(
        0.1, abs=0.015
    )
    assert (after == before).float().mean().item() == pytest.approx(0.1, abs=0.015)


def test_random_pieces_come_from_the_whole_vocabulary_alike() -> None:
    ids, mask = text(rows=3000)
    ids[ids >= FIRST] = FIRST
    result, chosen = masked(ids, mask, share=1.0)
    counts = torch.bincount(
        result[chosen & (result != MASK) & (result != FIRST)], minlength=VOCABULARY
    )[FIRST + 1 :]
    assert (
        counts.min() > 0.75 * counts.float().mean()
    )  # about 400 each, with a standard deviation of 20
    assert counts.max() < 1.25 * counts.float().mean()


def test_every_place_of_a_row_is_chosen_alike() -> None:
    ids, mask = text(rows=4000, length=12)
    _, chosen = masked(ids, mask, share=0.3)
    shares = chosen[:, 1:-1].float().mean(0)
    assert shares.tolist() == pytest.approx([0.3] * 10, abs=0.03)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"rows": range(1, 65)}])
def test_another_seed_epoch_or_row_is_masked_otherwise(change: dict[str, Any]) -> None:
    ids, mask = text()
    ids[:] = ids[0]
    _, one = masked(ids, mask)
    _, other = masked(ids, mask, **change)
    assert (one != other).any(-1).float().mean() > 0.9
    assert not torch.equal(one[0], one[1])


def test_the_ids_that_went_in_stay_as_they_are() -> None:
    ids, mask = text()
    before = ids.clone()
    result, chosen = masked(ids, mask)
    assert torch.equal(ids, before)
    assert result.dtype == ids.dtype and chosen.dtype == torch.bool


def test_a_batch_is_masked_in_milliseconds_at_the_largest_vocabulary() -> None:
    ids, mask = text()
    options: dict[str, Any] = {
        "rows": range(64),
        "share": 0.15,
        "mask_id": MASK,
        "special_ids": SPECIAL,
        "seed": 0,
        "epoch": 0,
    }
    times = []
    for _ in range(5):
        started = time.perf_counter()
        mask_pieces(ids, mask, vocabulary_size=250_002, **options)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05  # 3 ms on an idle core
