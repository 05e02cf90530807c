"""`distill.load_recipe` and `distill.run_recipe`: a recipe from one file to a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from distill.library.models import display

if TYPE_CHECKING:
    from distill.recipe.reading import RecipeFile
    from distill.report.model import Report


def load_recipe(name: str | Path, overrides: Mapping[str, object] | None = None) -> RecipeFile:
    """The recipe that `name` means, a file or a recipe that ships, with keys overridden.

    `overrides` are values by `section.key`, such as {"distillation.tokens": "60k"}. Raises
    UserError with every mistake.
    """
    from distill.recipe import reading

    settings = [f"{key}={_as_yaml(value)}" for key, value in (overrides or {}).items()]
    return reading.load_recipe(str(name), settings)


def run_recipe(
    recipe: RecipeFile | str | Path,
    *,
    until: str | None = None,
    force: str | None = None,
    runs: Path | str = "runs",
    progress: bool | None = None,
) -> Report:
    """Run the stages that must run, and give the report, which stands in `runs`/NAME besides.

    `until` is the last stage to run, `force` one that is redone in any case. Raises UserError for
    what the user can put right; finished stages stay.
    """
    from distill.pipeline import running
    from distill.pipeline.run import Run
    from distill.pipeline.stages import check_name
    from distill.recipe.reading import RecipeFile
    from distill.runtime.interruption import Interruption

    file = recipe if isinstance(recipe, RecipeFile) else load_recipe(recipe)
    check_name("until", until)
    check_name("force", force)
    run = Run(
        file=file,
        folder=Path(runs) / file.recipe.name,
        progress=display(progress),
        interruption=Interruption(),
    )
    with run.interruption.handled():
        running.run_recipe(run, until=until, force=force)
    return run.report


def _as_yaml(value: object) -> str:
    import yaml

    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1_000_000)
    return text.removesuffix("...\n").strip()
