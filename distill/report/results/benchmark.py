"""Measurements of size, latency and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One model under one setting; times in milliseconds, sizes in bytes."""

    model: str
    device: str
    threads: int | None
    runtime: str
    precision: str
    batch_size: int
    length: int
    median_ms: float | None
    p95_ms: float | None
    sequences_per_second: float | None
    floor_ms: float | None
    """The least that the machine's own arithmetic and memory would allow."""
    rounds: int
    """How many passes median and percentile are of."""
    parameters: int | None
    bytes_on_disk: int | None
    load_ms: float | None
    """From disk into the machine's memory, in a fresh process."""
    peak_memory_bytes: int | None
    reason: str | None = None
    """Why something is not measured, or not on the model's own weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What figures were measured on."""

    processor: str
    cores: int
    memory_bytes: int
    gpu: str | None
    python: str
    torch: str
    transformers: str
    onnxruntime: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkResult:
    """Every measurement, and the machine it was taken on."""

    measurements: list[Measurement]
    machine: Machine
