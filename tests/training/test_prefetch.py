"""Items are made ahead of their use, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from distill.training.prefetch import prefetched


def test_the_items_come_in_order() -> None:
    assert list(prefetched(range(50))) == list(range(50))


def test_the_next_item_is_made_while_the_first_is_used() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    ahead = prefetched(items())
    assert next(ahead) == 1
    assert made.wait(10)


def test_what_goes_wrong_in_the_thread_is_raised_where_the_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no second")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no second"):
        next(ahead)


def test_a_reader_that_stops_early_leaves_no_thread_behind() -> None:
    ahead = prefetched(iter(int, 1))
    next(ahead)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
