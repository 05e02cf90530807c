from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from distill.runtime.workers import available_workers, mapped


def half(number: int) -> tuple[float, int]:
    return 10 / (number - 30), os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    found = list(mapped(half, range(20), workers))
    assert [value for value, _ in found] == [half(number)[0] for number in range(20)]
    elsewhere = {process for _, process in found} - {os.getpid()}
    assert len(elsewhere) in ((0,) if workers == 1 else (1, 2))


def test_no_more_items_are_taken_than_keep_the_processes_busy() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with closing(mapped(half, items(), 2)) as results:
        next(results)
        assert len(taken) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_what_goes_wrong_in_a_process_is_raised_here(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(mapped(half, [1, 30, 2], workers))


def test_at_least_one_process_may_run() -> None:
    assert 1 <= available_workers() <= (os.cpu_count() or 1)
