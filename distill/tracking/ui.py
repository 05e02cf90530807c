"""MLflow's UI on a store: what it shows of an experiment first, where, and the UI itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from socket import socket
from typing import NoReturn

from distill.runtime.errors import UserError
from distill.runtime.secrets import without_password
from distill.tracking.address import DEFAULT_URI, is_server, tracking_uri
from distill.tracking.moved import follow_artifacts

VIEW = "distill"
"""The name of the view of an experiment that shows what matters: the UI takes it as
viewStateShareKey.
"""
_VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
_COLUMNS = ("retention", "student_parameters", "latency_ms", "vocabulary_kept", "heldout_identical")
_STATE = {
    "searchFilter": "tags.stage = 'recipe'",  # each run's page leads to its stages
    "orderByKey": "metrics.`retention`",
    "orderByAsc": False,
    "selectedColumns": [
        "attributes.`Models`",
        *(f"metrics.`{name}`" for name in _COLUMNS),
        "params.`overrides`",
        "tags.`teacher`",
        "tags.`device`",
    ],
}
EXPERIMENT_TAGS = {
    # The UI then opens on runs and their curves instead of on the traces of a language-model
    # application.
    "mlflow.experimentKind": "custom_model_development",
    # Under a name the state is in the UI's menu of views; an MLflow that knows no such names reads
    # it from beside the name.
    _VIEW_TAG: json.dumps(
        {"name": "best first", "createdAt": 0, "state": json.dumps(_STATE), **_STATE}
    ),
}
_ENVIRONMENT = {
    # Seven processes that wait for judges of language models.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def find_store(port: int) -> str:
    """The store that a UI on this port is to show. Raises UserError if it has a UI, is not there,
    or the port is taken.
    """
    uri = tracking_uri()
    if is_server(uri):
        raise UserError(
            "MLFLOW_TRACKING_URI names a server, which has a UI of its own: open "
            f"{without_password(uri)} in a browser."
        )
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(
            f"There is no MLflow store at {database}; run a recipe first, in this folder."
        )
    with socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UserError(
                f"Something else answers at http://127.0.0.1:{port}; name another port with --port."
            )
    return uri


def repair(uri: str) -> bool:
    """Let the addresses of artifacts in the project's own store follow its folder, where that was
    moved; whether it was.
    """
    return uri == DEFAULT_URI and follow_artifacts()


def experiment_views(uri: str, address: str) -> dict[str, str]:
    """By its name, where a UI at `address` shows each experiment's runs by what matters."""
    from mlflow import MlflowClient

    query = f"viewStateShareKey={VIEW}&workflowType=machine_learning"
    return {
        experiment.name: f"{address}/#/experiments/{experiment.experiment_id}/runs?{query}"
        for experiment in MlflowClient(uri).search_experiments()
        if _VIEW_TAG in experiment.tags
    }


def serve(uri: str, port: int) -> NoReturn:
    """Become MLflow's UI on a store: whatever stops this process stops the UI, and none is left
    behind.
    """
    where = ["--backend-store-uri", uri, "--port", str(port)]
    # A line for each request would push out of sight what was said before.
    quietly = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    command = [sys.executable, "-m", "mlflow", "ui", *where, *quietly]
    sys.stdout.flush()
    os.execve(sys.executable, command, _ENVIRONMENT | os.environ)
