"""How alike two layers are: the vectors of two models' layers go in; a map of their centred kernel
alignment comes out.
"""

from __future__ import annotations

import numpy as np


def cka_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Linear CKA of each layer of `first` [layers, rows, width] with each of `second`, float64
    [first's, second's layers].

    Kornblith et al. 2019, section 3, with the unbiased estimate of HSIC (Song et al. 2012) of
    Nguyen et al. 2021, equation 3: the plain one tends to 1 when rows are not many times the width,
    here it is 0 in the mean for unrelated layers whatever their number. 1 for layers that differ by
    rotation and scale alone. Rows are the same texts; at least four.
    """
    centred = [[_centred(layer) for layer in model] for model in (first, second)]
    norms = [[_hsic(layer, layer) for layer in model] for model in centred]
    similarity = np.empty((len(first), len(second)))
    for i, states in enumerate(centred[0]):
        for j, other in enumerate(centred[1]):
            scale = np.sqrt(max(norms[0][i], 0.0) * max(norms[1][j], 0.0))
            similarity[i, j] = _hsic(states, other) / scale if scale > 0 else 0.0
    return similarity


def _centred(rows_ND: np.ndarray) -> np.ndarray:
    """Each dimension without its mean, and scaled to a length that products don't overflow; CKA
    sees neither.
    """
    centred = rows_ND.astype(np.float64)
    centred -= centred.mean(axis=0)
    return centred / (np.abs(centred).max() or 1.0)


def _hsic(x_ND: np.ndarray, y_ND: np.ndarray) -> float:
    """Song et al. 2012, equation 5, of linear kernels without their diagonals, in time linear in
    the rows.
    """
    count = len(x_ND)
    x_own_N, y_own_N = (x_ND**2).sum(axis=1), (y_ND**2).sum(axis=1)
    trace = ((x_ND.T @ y_ND) ** 2).sum() - x_own_N @ y_own_N
    x_sums_N, y_sums_N = x_ND @ x_ND.sum(axis=0) - x_own_N, y_ND @ y_ND.sum(axis=0) - y_own_N
    sums = x_sums_N.sum() * y_sums_N.sum() / ((count - 1) * (count - 2))
    return float((trace + sums - 2.0 / (count - 2) * (x_sums_N @ y_sums_N)) / (count * (count - 3)))
