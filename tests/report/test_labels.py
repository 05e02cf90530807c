from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, strategies as st

from distill.report.labels import Box, Mark, distances, place_labels

WITHIN = (0.0, 0.0, 250.0, 150.0)
MARKS = st.lists(
    st.tuples(st.floats(10, 240), st.floats(10, 140), st.floats(1, 10)), min_size=1, max_size=12
)


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def disc(mark: Mark) -> Box:
    x, y, radius = mark
    return x - radius, y - radius, x + radius, y + radius


@given(MARKS)
def test_labels_cover_neither_one_another_nor_a_mark_where_there_is_room(marks: list[Mark]) -> None:
    boxes = place_labels(marks, [(30.0, 9.0)] * len(marks), WITHIN)
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    assert not [(box, mark) for box in boxes for mark in marks if overlap(box, disc(mark))]


@given(MARKS)
def test_labels_lie_within_the_plot_and_have_their_size(marks: list[Mark]) -> None:
    for left, bottom, right, top in place_labels(marks, [(80.0, 20.0)] * len(marks), WITHIN):
        assert left >= 0 <= bottom and right <= 250.001 and top <= 150.001
        assert np.allclose((right - left, top - bottom), (80, 20))


def test_a_label_that_nothing_hinders_stands_to_the_right_of_its_mark() -> None:
    ((left, bottom, _, top),) = place_labels([(50.0, 50.0, 5.0)], [(30.0, 10.0)], WITHIN)
    assert left == 57
    assert (bottom + top) / 2 == 50


def test_a_label_gives_way_to_what_is_thin_where_that_costs_little() -> None:
    line = (60.0, 0.0, 62.0, 150.0)
    (box,) = place_labels([(50.0, 50.0, 5.0)], [(30.0, 10.0)], WITHIN, [line])
    assert not overlap(box, line)


def test_a_plot_too_small_for_its_labels_still_places_them_all() -> None:
    marks = [(10.0, 10.0, 5.0)] * 9
    assert len(place_labels(marks, [(30.0, 10.0)] * 9, (0.0, 0.0, 20.0, 20.0))) == 9


def test_the_distance_of_a_label_is_from_the_edge_of_its_mark() -> None:
    boxes = np.array([(10.0, -1.0, 20.0, 1.0), (3.0, 4.0, 9.0, 9.0)])
    assert distances(boxes, (0.0, 0.0, 2.0)).tolist() == [8.0, 3.0]
