"""Layers as maps: the vectors of a few sentences in many languages go in; two coordinates for each,
by layer, come out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_NEIGHBOURS = 15
_APART, _SPREAD = 1.0, 1.5
"""UMAP's min_dist and spread: a group of a few points is to be seen as points, not as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """What is drawn: a few sentences in some languages, and where each lies in every layer of every
    model.
    """

    languages: tuple[str, ...]
    ids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """[languages][sentences]"""
    points: Mapping[str, np.ndarray]
    """For each model float32 [layers, languages, sentences, 2]."""


def project_layers(vectors: np.ndarray, *, seed: int, like: np.ndarray | None = None) -> np.ndarray:
    """UMAP (McInnes et al. 2018) of each layer of `vectors` [layers, rows, width], by cosine:
    float32 [layers, rows, 2].

    Each layer is projected by itself; it is then turned and mirrored, never stretched, to lie as
    the layer before it does (the first as `like` [rows, 2] does), so that what moves between two
    maps moved in the model. Maps are centred, and each is scaled to a root mean square of 1. Equal
    for an equal `seed`.
    """
    maps: list[np.ndarray] = []
    before = like
    for layer in vectors:
        before = _turned(_standardised(_umap(layer, seed)), before)
        maps.append(before)
    return np.stack(maps).astype(np.float32)


def _umap(rows: np.ndarray, seed: int) -> np.ndarray:
    import umap

    neighbours = min(_NEIGHBOURS, len(rows) - 1)
    # A spectral start needs more rows than dimensions, and distinct ones: of a layer that sees
    # nothing all are equal.
    start = "spectral" if len(np.unique(rows, axis=0)) > neighbours else "random"
    fitted = umap.UMAP(
        n_neighbors=neighbours,
        metric="cosine",
        init=start,
        min_dist=_APART,
        spread=_SPREAD,
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # on rows without a neighbour, which are drawn like any other
        return np.nan_to_num(np.asarray(fitted.fit_transform(rows), dtype=np.float64))


def _standardised(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(axis=0)
    return np.asarray(centred / (np.sqrt((centred**2).sum(axis=1).mean()) or 1.0))


def _turned(points: np.ndarray, like: np.ndarray | None) -> np.ndarray:
    """The rotation or reflection of `points` that is nearest to `like` (orthogonal Procrustes;
    Schönemann 1966).
    """
    from scipy.linalg import orthogonal_procrustes

    return points if like is None else np.asarray(points @ orthogonal_procrustes(points, like)[0])
