"""Memory of processes."""

from __future__ import annotations

import psutil


def proportional_memory(process_id: int | None = None) -> int:
    """Memory of a process, this one by default, and its children in bytes, what they share counted
    once.
    """
    total = 0
    try:
        parent = psutil.Process(process_id)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, AttributeError):
            continue
    return total
