"""The benchmark stage: models and settings go in; measurements.json comes out, a row for every
model and setting.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from distill.benchmark.bench import Bench
from distill.benchmark.files import Source, write_sources
from distill.benchmark.latency import cpu_threads, measure_latencies
from distill.benchmark.machine import describe_machine
from distill.benchmark.process import Footprint, Shape, measure_footprint
from distill.benchmark.settings import (
    RUNTIMES,
    Entrant,
    list_entrants,
    list_placements,
    list_shapes,
)
from distill.benchmark.subjects import Subject
from distill.models.loading import position_limit
from distill.recipe import BenchmarkSection
from distill.report.results.benchmark import BenchmarkResult, Measurement
from distill.runtime.progress import Progress


def measure_models(
    section: BenchmarkSection,
    *,
    open_model: Callable[[str], Subject],
    output: Path,
    progress: Progress,
) -> BenchmarkResult:
    """Measure every model of the section under every setting; `open_model` gives a model by name.

    What cannot be measured (an absent device, a length the model has no positions for, arithmetic
    that is slower here, a pass longer than the time given) becomes rows without times and with a
    reason.
    """
    entrants, placements, shapes = (
        list_entrants(section),
        list_placements(section),
        list_shapes(section),
    )
    subjects = {
        name: open_model(name) for name in dict.fromkeys(entrant.subject for entrant in entrants)
    }
    rows: list[Measurement] = []
    steps = len(subjects) + len(entrants) + len(placements) * len(shapes)
    with (
        tempfile.TemporaryDirectory(dir=output) as folder,
        progress.task("benchmark", total=steps, unit="steps") as bar,
    ):
        sources: dict[Entrant, Source] = {}
        for name in subjects:
            sources |= write_sources(
                subjects, [entrant for entrant in entrants if entrant.subject == name], Path(folder)
            )
            bar.advance(1, f"files of {name}")
        footprints: dict[Entrant, Footprint | str] = {}
        for entrant in entrants:
            fitting = [
                shape
                for shape in shapes
                if shape[1] <= position_limit(subjects[entrant.subject].model)
            ]
            footprints[entrant] = _footprint(entrant, sources[entrant], fitting)
            bar.advance(1, f"memory of {entrant.name}, {entrant.runtime}")
        for placement in placements:
            with cpu_threads(placement.threads):
                bench = Bench(placement, subjects, sources)
                timed: list[Timed] = []
                for shape in shapes:
                    timed += _measure(bench, entrants, shape, section.seconds)
                    bench.sample_rates()
                    bar.advance(1, f"{placement.device}, batch {shape[0]}, length {shape[1]}")
                rows += [_row(bench, timing, footprints[timing.entrant]) for timing in timed]
                bench.clear()
    (output / "measurements.json").write_text(
        json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8"
    )
    return BenchmarkResult(measurements=rows, machine=describe_machine())


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """What an entrant took for each pass of one shape, in milliseconds, or why there is no time."""

    entrant: Entrant
    shape: Shape
    times: np.ndarray
    obstacle: str | None
    has_floor: bool


def _measure(bench: Bench, entrants: list[Entrant], shape: Shape, seconds: float) -> list[Timed]:
    """The times of one placement and shape, the models interleaved."""
    here = [entrant for entrant in entrants if bench.runs(entrant)]
    obstacles = {entrant: bench.obstacle(entrant, shape) for entrant in here}
    possible = [entrant for entrant in here if obstacles[entrant] is None]
    for entrant in possible:
        if (bench.floor_ms(entrant, shape) or 0.0) > 1000.0 * seconds:
            obstacles[entrant] = (
                f"one pass would take longer than the {seconds:g} s given (see its floor)"
            )
    passes = {
        entrant: bench.make_pass(entrant, shape) for entrant in here if obstacles[entrant] is None
    }
    times = measure_latencies(passes, seconds) if passes else {}
    return [
        Timed(
            entrant=entrant,
            shape=shape,
            times=times.get(entrant, np.array([])),
            obstacle=obstacles[entrant],
            has_floor=entrant in possible,
        )
        for entrant in here
    ]


def _row(bench: Bench, timed: Timed, footprint: Footprint | str) -> Measurement:
    entrant, shape, times = timed.entrant, timed.shape, timed.times
    placement, subject, source = bench.placement, bench.subject(entrant), bench.sources[entrant]
    measured, peak = len(times) > 0, None
    reasons = [text for text in (timed.obstacle, subject.reason, source.remark) if text]
    if placement.device == "cuda" and measured:
        peak = bench.cuda_peak(entrant, shape)
    elif placement.device == "cpu" and isinstance(footprint, Footprint):
        peak = footprint.peaks.get(shape)
    elif isinstance(footprint, str) and source.reason is None:
        reasons.append(f"memory and loading: {footprint}")
    median = float(np.median(times)) if measured else None
    runtime, precision = RUNTIMES[entrant.runtime]
    return Measurement(
        model=entrant.name,
        device=placement.device,
        threads=placement.threads,
        runtime=runtime,
        precision=precision,
        batch_size=shape[0],
        length=shape[1],
        median_ms=median,
        p95_ms=float(np.quantile(times, 0.95)) if measured else None,
        sequences_per_second=None if median is None else shape[0] * 1000.0 / median,
        floor_ms=bench.floor_ms(entrant, shape) if timed.has_floor else None,
        rounds=len(times),
        parameters=subject.parameters,
        bytes_on_disk=source.bytes_on_disk,
        load_ms=footprint.load_ms if isinstance(footprint, Footprint) else None,
        peak_memory_bytes=peak,
        reason="; ".join(reasons) or None,
    )


def _footprint(entrant: Entrant, source: Source, shapes: list[Shape]) -> Footprint | str:
    """What a fresh process needs for the model, or why that is not known."""
    if source.path is None:
        return source.reason or ""
    try:
        return measure_footprint(entrant.runtime, source.path, shapes)
    except (OSError, RuntimeError) as error:
        return str(error)
