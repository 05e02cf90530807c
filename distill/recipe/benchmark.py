"""The section that says how size and speed are measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from distill.recipe.model_reference import OWN_MODELS, check_model_name
from distill.recipe.section import Section

Runtime = Literal["torch", "torch_bfloat16", "onnx", "onnx_int8", "openvino", "openvino_int8"]
MEASURED_MODELS = tuple(
    name for name in OWN_MODELS if name not in ("scratch", "tfidf", "asymmetric")
)
"""The models of a run whose size and speed are measured; scratch has the student's, and a bag of
words no layers.
"""


def _known(name: str) -> str:
    return check_model_name(name, MEASURED_MODELS)


class BenchmarkSection(Section):
    """How large and how fast the models are."""

    models: list[Annotated[str, AfterValidator(_known)]] = Field(
        default=["teacher", "trimmed", "student", "student_int8"], min_length=1
    )
    """Which models: the run's own, any Hub id or any folder. student_int8 is the student as ONNX in
    int8.
    """
    runtimes: list[Runtime] = Field(
        default=["torch", "torch_bfloat16", "onnx", "onnx_int8"], min_length=1
    )
    """What runs them: torch and ONNX Runtime in float32, torch in bfloat16 where that is faster,
    ONNX Runtime in int8 (ONNX on the CPU alone). Where the extra `openvino` is installed: openvino,
    openvino_int8."""
    devices: list[Literal["cpu", "cuda", "all"]] = Field(default=["all"], min_length=1)
    """On which devices: all is the CPU, and the GPU where there is one; a named one that is absent
    is reported so.
    """
    threads: list[Annotated[int, Field(ge=1)] | Literal["all"]] = Field(
        default=[1, "all"], min_length=1
    )
    """CPU threads."""
    batch_sizes: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 8, 32], min_length=1)
    """Sequences at once."""
    lengths: list[Annotated[int, Field(ge=3)]] = Field(default=[32, 128, 512], min_length=1)
    """Tokens of a sequence."""
    seconds: Annotated[float, Field(gt=0)] = 4.0
    """Time spent on each combination of device, threads, batch size and length, all models
    together; what could not run once in that time is left out."""
