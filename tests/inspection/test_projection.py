from __future__ import annotations

import warnings

import numpy as np
import pytest

from distill.inspection.projection import project_layers


def clusters(layers: int = 2) -> np.ndarray:
    """Four groups of ten rows, far from each other."""
    draw = np.random.default_rng(0)
    return (np.repeat(np.eye(4, 12), 10, axis=0) * 10 + draw.normal(size=(layers, 40, 12))).astype(
        np.float32
    )


def test_groups_stay_groups() -> None:
    found = project_layers(clusters(), seed=0)
    assert found.shape == (2, 40, 2) and found.dtype == np.float32
    groups = found[1].reshape(4, 10, 2)
    apart = np.linalg.norm(groups.mean(axis=1)[:, None] - groups.mean(axis=1)[None], axis=-1)[
        ~np.eye(4, dtype=bool)
    ].min()
    assert apart > 2 * np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=-1).mean()


def test_the_same_seed_gives_the_same_map() -> None:
    assert (project_layers(clusters(), seed=1) == project_layers(clusters(), seed=1)).all()


def test_maps_are_centred_and_of_one_size() -> None:
    found = project_layers(clusters(), seed=0)
    assert found.mean(axis=1) == pytest.approx(np.zeros((2, 2)), abs=1e-5)
    assert (found**2).sum(axis=2).mean(axis=1) == pytest.approx(np.ones(2), rel=1e-5)


def test_a_map_is_turned_to_lie_as_the_one_before() -> None:
    rows = clusters(layers=1)
    first = project_layers(rows, seed=0)[0]
    turned = first @ np.array([[0.0, 1.0], [1.0, 0.0]])
    assert project_layers(rows, seed=0, like=turned)[0] == pytest.approx(turned, abs=1e-4)


@pytest.mark.parametrize("rows", [4, 5, 16])
def test_few_points_are_drawn_without_a_warning(rows: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = project_layers(
            np.random.default_rng(0).normal(size=(1, rows, 8)).astype(np.float32), seed=0
        )
    assert found.shape == (1, rows, 2) and np.isfinite(found).all()


def test_equal_points_are_drawn(capfd: pytest.CaptureFixture[str]) -> None:
    assert np.isfinite(project_layers(np.ones((1, 20, 8), np.float32), seed=0)).all()
    assert capfd.readouterr() == ("", "")
