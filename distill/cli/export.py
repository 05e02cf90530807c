"""`distill export`: the export of a finished run, made again where it is stale, and pushed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.console import OUT
from distill.runtime.errors import UserError


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR", help="The folder of a finished run, such as runs/quickstart."
        ),
    ],
    push: Annotated[
        str | None,
        typer.Option(
            help="Push it to this Hub repository.", metavar="ORG/NAME", show_default="nowhere"
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is made, only its owner sees it.")
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(help="The branch to push to.", metavar="BRANCH", show_default="main"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, say what would be sent, send nothing."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another model that the repository holds.")
    ] = False,
) -> None:
    """Hand a finished run's student over: the export folder, made anew where it is stale, and
    pushed if asked.
    """
    from distill.pipeline.finished import export_run
    from distill.pipeline.pushing import push_run
    from distill.report.formats import format_bytes
    from distill.runtime.progress import Progress

    if push is None and (private or revision or force):
        raise UserError(
            "--private, --revision and --force say how to push: name the repository with --push "
            "ORG/NAME."
        )
    files = export_run(run, Progress(), dry_run=dry_run)
    OUT.print(f"student: {run / 'export'}: {', '.join(files)}", markup=False, soft_wrap=True)
    if push is None:
        return
    done = push_run(run, push, private=private, revision=revision, force=force, dry_run=dry_run)
    if dry_run:
        made = f", a new {'private' if private else 'public'} repository" if done.created else ""
        told = f"would go to {done.url}{made}, as {done.tag}; nothing was sent"
        OUT.print(
            f"{len(done.sizes)} files, {format_bytes(sum(done.sizes.values()))}, {told}",
            markup=False,
            soft_wrap=True,
        )
    else:
        OUT.print(
            f"pushed: {done.url} as {done.tag} (commit {done.commit})", markup=False, soft_wrap=True
        )
    if done.removed:
        OUT.print(
            f"{'to go' if dry_run else 'gone'}: {', '.join(done.removed)}",
            markup=False,
            soft_wrap=True,
        )
