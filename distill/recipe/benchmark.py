"""The section that says how size and speed are measured."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from distill.recipe.section import Section

OwnModel = Literal["teacher", "trimmed", "student", "student_int8", "initial", "untrained"]
Runtime = Literal["torch", "torch_bfloat16", "onnx", "onnx_int8"]
OWN_MODELS: tuple[str, ...] = get_args(OwnModel)
"""The models of a run, by what the report calls them; any other name is a Hub id or a folder."""


def is_own_model(name: str) -> bool:
    """Whether a run makes the model itself."""
    return name in OWN_MODELS


def _known(name: str) -> str:
    """`name`, if it can be a model; what is neither one of the run's nor looks like an id or a path
    is a slip of the pen.
    """
    if is_own_model(name) or "/" in name or name.startswith(("package:", ".", "~")):
        return name
    near = difflib.get_close_matches(name, OWN_MODELS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it should be one of {', '.join(OWN_MODELS)},"
    raise ValueError(
        f"there is no model {name}; {hint} or a Hub id (organisation/name) or a folder (./name)"
    )


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
    ONNX Runtime in int8 (ONNX on the CPU alone)."""
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
