"""Labels of marks in a plot: marks and the sizes of their labels go in; a place for each label,
clear of the others, comes out.

Everything is in points, from the lower left; a box is (left, bottom, right, top).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Box = tuple[float, float, float, float]
Mark = tuple[float, float, float]
"""Its centre and its radius."""
_STEP, _GAP, _APART = 3.0, 2.0, 6.0
_CLASH, _CROSSING = 10_000.0, 1.0
"""What it costs to cover a mark or a label, and a square point of something thin, in points away
from the mark.
"""
_NOT_RIGHT = 1.5
"""What is given up for a label on the right of its mark, where one reads on."""


def place_labels(
    marks: Sequence[Mark],
    sizes: Sequence[tuple[float, float]],
    within: Box,
    thin: Sequence[Box] = (),
) -> list[Box]:
    """A box for each mark's label of (width, height): as near its mark as can be without covering a
    mark or another label.

    Where `within` is too small for all, those that come last cover the least that they can; `thin`
    is covered if need be.
    """
    clear = [radius + 0.9 * _GAP for _, _, radius in marks]
    discs = [
        (x - reach, y - reach, x + reach, y + reach)
        for (x, y, _), reach in zip(marks, clear, strict=True)
    ]
    placed: list[Box] = []
    for mark, (width, height) in zip(marks, sizes, strict=True):
        boxes = _candidates(mark, width, height, within)
        others = [
            (left - _APART, bottom, right + _APART, top) for left, bottom, right, top in placed
        ]
        clash = _covered(boxes, [*discs, *others])
        cost = _CLASH * (clash > 0) + clash + _CROSSING * _covered(boxes, thin)
        cost += distances(boxes, mark) + _NOT_RIGHT * (boxes[:, 0] < mark[0])
        left, bottom, right, top = boxes[int(cost.argmin())]
        placed.append((float(left), float(bottom), float(right), float(top)))
    return placed


def distances(boxes: np.ndarray, mark: Mark) -> np.ndarray:
    """How far each of `boxes` [boxes, 4] is from the edge of the mark."""
    x, y, radius = mark
    away_x = np.maximum(0.0, np.maximum(boxes[:, 0] - x, x - boxes[:, 2]))
    away_y = np.maximum(0.0, np.maximum(boxes[:, 1] - y, y - boxes[:, 3]))
    return np.asarray(np.hypot(away_x, away_y) - radius)


def _candidates(mark: Mark, width: float, height: float, within: Box) -> np.ndarray:
    """Boxes [candidates, 4] beside the mark, and all over the plot; each within it."""
    x, y, radius = mark
    beside = [
        (x + radius + _GAP, y - height / 2),
        (x - radius - _GAP - width, y - height / 2),
        (x - width / 2, y + radius + _GAP),
        (x - width / 2, y - radius - _GAP - height),
    ]
    last_x, last_y = max(within[0], within[2] - width), max(within[1], within[3] - height)
    over = np.meshgrid(
        np.arange(within[0], last_x + _STEP, _STEP), np.arange(within[1], last_y + _STEP, _STEP)
    )
    corners = np.concatenate([np.array(beside), np.stack([axis.ravel() for axis in over], axis=1)])
    corners = np.clip(corners, (within[0], within[1]), (last_x, last_y))
    return np.concatenate([corners, corners + np.array([width, height])], axis=1)


def _covered(boxes: np.ndarray, others: Iterable[Box]) -> np.ndarray:
    """How many square points of each box lie on any of the others."""
    area = np.zeros(len(boxes))
    for left, bottom, right, top in others:
        width = np.minimum(boxes[:, 2], right) - np.maximum(boxes[:, 0], left)
        height = np.minimum(boxes[:, 3], top) - np.maximum(boxes[:, 1], bottom)
        area += np.maximum(0.0, width) * np.maximum(0.0, height)
    return area
