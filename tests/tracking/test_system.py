"""The machine's load, taken in passing."""

from __future__ import annotations

import threading

import pytest

from distill.tracking import system


def test_the_load_is_taken_once_in_a_while_without_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = threading.active_count()
    metrics = system.SystemMetrics()
    first = metrics.sample()
    assert first["system/system_memory_usage_megabytes"] > 0
    assert 0 <= first["system/cpu_utilization_percentage"] <= 100
    assert metrics.sample() == {}
    monkeypatch.setattr(metrics, "_next", 0.0)
    assert metrics.sample().keys() == first.keys()
    assert threading.active_count() == before
