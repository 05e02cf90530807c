"""distill: one small monolingual encoder out of a large multilingual one, from one YAML file."""

from __future__ import annotations

# Two rooms have the name of a function below: loaded first, they cannot take its place.
import distill.benchmark
import distill.export  # noqa: F401
from distill.library.benchmark import benchmark
from distill.library.distil import Distillation, distil
from distill.library.evaluate import evaluate
from distill.library.export import export
from distill.library.inspect import inspect
from distill.library.recipes import load_recipe, run_recipe
from distill.library.trim import trim
from distill.runtime.version import __version__

__all__ = [
    "Distillation",
    "__version__",
    "benchmark",
    "distil",
    "evaluate",
    "export",
    "inspect",
    "load_recipe",
    "run_recipe",
    "trim",
]
