"""`distill.benchmark`: size, latency and memory of any models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from distill.library.models import Model, by_name, display, load
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.benchmark.subjects import Subject
    from distill.report.results.benchmark import BenchmarkResult


def benchmark(
    models: Mapping[str, Model] | Sequence[str] | str,
    *,
    runtimes: Sequence[str] = ("torch", "torch_bfloat16", "onnx", "onnx_int8"),
    devices: Sequence[str] = ("all",),
    threads: Sequence[int | Literal["all"]] = (1, "all"),
    batch_sizes: Sequence[int] = (1, 8, 32),
    lengths: Sequence[int] = (32, 128),
    seconds: float = 4.0,
    progress: bool | None = None,
) -> BenchmarkResult:
    """Measure every model under every setting, in turns, beside the floor of this machine.

    `seconds` is the time for each combination of device, threads, batch size and length, all models
    together. What cannot be measured has a reason instead of a time. Raises UserError for a model
    or an option that does not exist.
    """
    from pydantic import ValidationError

    from distill.benchmark.measure import measure_models
    from distill.benchmark.subjects import open_subject, subject_of
    from distill.models.saving import save_model
    from distill.openvino.installed import check_openvino
    from distill.recipe import BenchmarkSection

    named = by_name(models)
    try:
        section = BenchmarkSection.model_validate(
            {
                "models": ["some/model"],
                "runtimes": list(runtimes),
                "devices": list(devices),
                "threads": list(threads),
                "batch_sizes": list(batch_sizes),
                "lengths": list(lengths),
                "seconds": seconds,
            }
        ).model_copy(update={"models": list(named)})
    except ValidationError as error:
        raise UserError(f"benchmark: {error}") from error
    if any(runtime.startswith("openvino") for runtime in section.runtimes):
        check_openvino("benchmark.runtimes")
    with TemporaryDirectory() as temporary:

        def open_model(name: str) -> Subject:
            model = named[name]
            if isinstance(model, str):
                return open_subject(model)
            loaded, folder = load(model, None), Path(temporary) / f"model-{name}".replace("/", "-")
            save_model(loaded.model, loaded.tokenizer, folder)
            return subject_of(loaded.model, folder)

        output = Path(temporary) / "output"
        output.mkdir()
        return measure_models(
            section, open_model=open_model, output=output, progress=display(progress)
        )
