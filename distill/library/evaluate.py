"""`distill.evaluate`: scores of any models on any tasks, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from distill.library.models import Model, by_name, display, load
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.report.results.evaluation import EvaluationResult


def evaluate(
    models: Mapping[str, Model] | Sequence[str] | str,
    tasks: Sequence[Mapping[str, object]] | str | Path,
    *,
    seeds: int = 3,
    learning_rates: Sequence[float] = (3e-5, 1e-4, 3e-4),
    epochs: int = 10,
    batch_size: int = 32,
    max_length: int = 256,
    pooling: str | None = None,
    prefixes: Mapping[str, str] | None = None,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    seed: int = 0,
    output: Path | str | None = None,
    progress: bool | None = None,
) -> EvaluationResult:
    """Score every model on every task; all are compared with the first.

    `tasks` are entries as a recipe's `evaluation.tasks` has them, or a YAML file of such.
    `pooling` and `prefixes`, those of `query` and `passage`, are of the first model and of models
    in memory; others, and by default the first, have what their folder says. With `output`, a
    folder, an interrupted call is resumed there. Raises UserError for input that cannot be read.
    """
    from pydantic import ValidationError

    from distill.evaluation.evaluate import evaluate_models
    from distill.recipe import EvaluationSection, TeacherSection
    from distill.recipe.reading import load_tasks
    from distill.runtime.runtime import Runtime

    named = by_name(models)
    entries: object = tasks
    if isinstance(tasks, str | Path):
        entries = load_tasks(str(tasks)).evaluation.tasks
    try:
        section = EvaluationSection.model_validate(
            {
                "models": [],
                "tasks": entries,
                "seeds": seeds,
                "learning_rates": list(learning_rates),
                "epochs": epochs,
                "batch_size": batch_size,
                "max_length": max_length,
                "precision": precision,
            }
        )
        first = next(iter(named), None)
        if first is None:
            raise UserError("evaluate: name at least one model.")
        teacher = TeacherSection.model_validate(
            {
                "model": first,
                **({"pooling": pooling} if pooling else {}),
                "prefixes": dict(prefixes or {}),
            }
        )
        in_memory = [name for name, model in named.items() if not isinstance(model, str)]
        prompts = dict.fromkeys(in_memory, teacher.prefixes)
        section = section.model_copy(update={"models": list(named), "prompts": prompts})
    except ValidationError as error:
        raise UserError(f"evaluate: {error}") from error
    with TemporaryDirectory() as temporary:
        folder = Path(output or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return evaluate_models(
            section,
            load=lambda name: load(named[name], None),
            teacher_section=teacher,
            output=folder,
            runtime=Runtime(progress=display(progress), seed=seed),
            reference=first,
        )
