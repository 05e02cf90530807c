"""Which pieces a model has to guess: batches of ids go in, ids with some of them masked come out.

A row is masked alike wherever it stands: its draw depends on the seed, the epoch and its number in
the text alone, so that a resumed run, another batch size or more devices train on the same
examples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen tokens that become the mask and a random piece; the others stay (Devlin et
al. 2019, section 3.1).
"""


def mask_pieces(
    ids_BL: torch.Tensor,
    mask_BL: torch.Tensor,
    *,
    rows: Sequence[int],
    share: float,
    mask_id: int,
    special_ids: Collection[int],
    vocabulary_size: int,
    seed: int,
    epoch: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids with some of them masked, and where tokens were chosen (bool), both [B, L].

    `share` of a row's tokens is chosen, rounded, but at least one; special tokens and padding never
    are. `rows` are the rows' numbers in the text. As in BERT (Devlin et al. 2019, section 3.1),
    save that a random piece is never a special one.
    """
    ids, special = ids_BL.numpy(force=True), np.fromiter({mask_id, *special_ids}, dtype=np.int64)
    maskable = (mask_BL.numpy(force=True) != 0) & ~np.isin(ids, special)
    counts_B = maskable.sum(-1)
    draws_3BL = np.full((3, *ids.shape), np.inf)
    for at, (row, count) in enumerate(zip(rows, counts_B, strict=True)):
        # Row and epoch in the upper words of Philox's counter: streams that never meet. One draw
        # for each token that may be chosen, not for each place, as places depend on the padding.
        counter = np.array([0, 0, epoch, row], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=seed, counter=counter))
        draws_3BL[:, at, maskable[at]] = generator.random((3, count))
    order_BL, fate_BL, piece_BL = draws_3BL

    wanted_B = np.where(counts_B, np.rint(share * counts_B).clip(1), 0)
    chosen = order_BL.argsort(-1, kind="stable").argsort(-1) < wanted_B[:, None]
    replaced = chosen & (fate_BL >= MASKED) & (fate_BL < MASKED + REPLACED)
    ordinary = np.ones(vocabulary_size, dtype=bool)
    ordinary[special[(special >= 0) & (special < vocabulary_size)]] = False
    pieces = np.flatnonzero(ordinary)

    masked = np.where(chosen & (fate_BL < MASKED), mask_id, ids)
    masked[replaced] = pieces[(piece_BL[replaced] * len(pieces)).astype(np.int64)]
    return torch.from_numpy(masked).to(ids_BL), torch.from_numpy(chosen).to(ids_BL.device)
