"""One item is made while the one before it is used."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items, each made in a thread while the caller works with the one before it.

    What making an item raises is raised where the item is asked for.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        ahead = thread.submit(next, source, end)
        while (item := ahead.result()) is not end:
            ahead = thread.submit(next, source, end)
            yield item  # type: ignore[misc]  # `end` was the only other thing
