"""`distill ui`: open MLflow on the project's runs."""

from __future__ import annotations

from typing import Annotated

import typer

from distill.cli.console import OUT
from distill.runtime.secrets import without_password


def ui(
    port: Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow on the project's own runs."""
    from distill.runtime.extras import check_extra
    from distill.tracking import experiment_views, find_store, repair, serve

    check_extra("mlflow", "ui opens MLflow")
    uri, address = find_store(port), f"http://127.0.0.1:{port}"
    if repair(uri):
        OUT.print("The store was moved here; its artifacts are found again.", soft_wrap=True)
    OUT.print(
        f"MLflow on {without_password(uri)}: {address} (Ctrl-C stops it)",
        markup=False,
        soft_wrap=True,
    )
    if uri.startswith("sqlite:///"):
        for name, view in experiment_views(uri, address).items():
            OUT.print(f"  {name}, the best first: {view}", markup=False, soft_wrap=True)
    serve(uri, port)
