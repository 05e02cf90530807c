"""`distill recipe`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.console import OUT, report_interrupt

EXAMPLES = """Examples:

distill recipe quickstart.yaml
    [dim]the recipe of that name, to runs/quickstart[/dim]

distill recipe danish.yaml --dry-run
    [dim]check everything, print sizes and cost[/dim]

distill recipe danish.yaml --set distillation.tokens=200M --until distillation
    [dim]with one thing changed, no further than that stage[/dim]
"""


def recipe_names() -> list[str]:
    """What a shell completes a recipe's name to."""
    from distill.recipe.reading import list_recipes

    return [path.name for path in list_recipes()]


def stage_names() -> list[str]:
    """What a shell completes a stage's name to."""
    from distill.pipeline.stages import STAGES

    return [stage.name for stage in STAGES]


def recipe(
    name: Annotated[
        str,
        typer.Argument(
            help="A recipe's file, or the name of one in recipes/.",
            metavar="NAME_OR_PATH",
            autocompletion=recipe_names,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Override a key: section.key=value. May be given several times.",
            metavar="KEY=VALUE",
            show_default="as the recipe says",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Stop after this stage.",
            metavar="STAGE",
            show_default="the last one",
            autocompletion=stage_names,
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            help="Redo this stage, and those after it.",
            metavar="STAGE",
            show_default="what changed",
            autocompletion=stage_names,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, run nothing.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="With --dry-run: rehearse steps for ten seconds to tell the time."
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read the files of finished stages; redo what is damaged."),
    ] = False,
    runs: Annotated[Path, typer.Option(help="The folder that runs are kept in.")] = Path("runs"),
) -> None:
    """Run a recipe: from text and a teacher to a student with its proof, scores and report.

    What was done before, and has not changed, is not done again.
    """
    from distill.pipeline.dry_run import dry_run_lines
    from distill.pipeline.run import Run
    from distill.pipeline.running import follow, run_recipe
    from distill.pipeline.stages import check_name
    from distill.recipe.reading import load_recipe
    from distill.runtime.errors import UserError
    from distill.runtime.interruption import Interruption
    from distill.runtime.processes import Processes
    from distill.runtime.progress import Progress

    if measure and not dry_run:
        raise UserError("--measure tells the time before a run: give it with --dry-run.")
    file = load_recipe(name, overrides or [])
    check_name("--until", until)
    check_name("--force", force)
    processes = Processes()
    run = Run(
        file=file,
        folder=runs / file.recipe.name,
        progress=Progress(quiet=not processes.is_first),
        interruption=Interruption(),
        processes=processes,
    )
    if dry_run:
        if processes.is_first:
            for line in dry_run_lines(run, until=until, force=force, measure=measure):
                OUT.print(line, markup=False, soft_wrap=True)
        return
    with run.interruption.handled(), report_interrupt(quiet=not processes.is_first):
        if processes.is_first:
            run_recipe(run, until=until, force=force, verify=verify)
            processes.share(None)  # there is nothing more to share out
        else:
            follow(run)
        processes.close()
    if not processes.is_first:
        return
    if (run.folder / "report.html").is_file():
        OUT.print(f"report: {run.folder / 'report.html'}", markup=False, soft_wrap=True)
    if "export" in run.records:
        OUT.print(f"student: {run.folder / 'export'}", markup=False, soft_wrap=True)
