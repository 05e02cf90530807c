"""The machine's load while a run logs: processor, memory, disk, network, and the GPU where there is
one.
"""

from __future__ import annotations

import time
from contextlib import suppress

SECONDS = 10.0
"""At most so often."""


class SystemMetrics:
    """MLflow's measures under MLflow's names, which the UI shows apart; taken beside other metrics,
    without a thread.
    """

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(Exception):  # no NVIDIA GPU, or not the package that asks it
            self._monitors.append(GPUMonitor())
        for monitor in self._monitors:  # the load is counted from here
            monitor.collect_metrics()
            monitor.clear_metrics()
        self._next = 0.0

    def sample(self) -> dict[str, float]:
        """The load since the last sample; nothing if that was a moment ago."""
        if time.monotonic() < self._next:
            return {}
        self._next = time.monotonic() + SECONDS
        sampled: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            sampled |= {
                f"system/{name}": float(value)
                for name, value in monitor.aggregate_metrics().items()
            }
            monitor.clear_metrics()
        return sampled
