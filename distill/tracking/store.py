"""MLflow's store: events go in, runs with their figures and files come out.

A store that gives no answer raises AwayError; one that answers no, RefusedError.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill.runtime.errors import is_disk_full
from distill.runtime.secrets import without_password
from distill.tracking.address import (
    DEFAULT_STORE,
    DEFAULT_URI,
    TRACKING_URI,
    absolute,
    is_server,
    is_writable,
    sqlite_file,
)
from distill.tracking.keys import clean_key
from distill.tracking.moved import follow_artifacts
from distill.tracking.outbox import Event
from distill.tracking.ui import EXPERIMENT_TAGS

_PARENT = "mlflow.parentRunId"
_HANDLE = "mlflow.distill.handle"  # the UI shows no tags that begin with mlflow.
# By default MLflow tries eight times two minutes, with doubling pauses. What one try loses here,
# the outbox keeps.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_UPLOAD_SECONDS = "120"  # a server may pass the file on to slower storage before it answers
_PROBE_SECONDS = (3, 5)  # to connect, to answer
_NO_ANSWER = (401, 403, 408, 429)  # a login or another try helps; the data is fine
_LONGEST_PARAMETER = 500
_CONNECTIONS = 5  # tries to open a database, 3 s together


class AwayError(Exception):
    """The store gave no answer; the same event may do later."""


class RefusedError(Exception):
    """The store does not take this event, now or later."""


class Store:
    """One experiment of a store, and which of its runs go by which handle.

    A handle is the run's name on this side: it exists before the store was ever reached.
    """

    def __init__(
        self, uri: str, experiment: str, runs: Mapping[str, str], *, is_doubtful: bool
    ) -> None:
        self.uri = uri
        self.runs = dict(runs)
        """The store's own ids of the runs by handle; and of a run's model by its handle and
        `/model`.
        """
        self.is_remote = is_server(uri)
        self.is_doubtful = is_doubtful
        """Whether the store may have runs of which this process does not know, so that it must be
        asked.
        """
        self._name = experiment
        self._client: Any = None
        self._experiment = ""

    def answers(self) -> bool:
        """Whether it is worth trying; costs seconds at most."""
        if file := sqlite_file(self.uri):
            return is_writable(file)
        if not self.is_remote:
            return True
        import requests

        try:
            return (
                requests.get(f"{self.uri.rstrip('/')}/health", timeout=_PROBE_SECONDS).status_code
                < 500
            )
        except requests.RequestException:
            return False

    def send(self, event: Event) -> str | None:
        """Put an event into the store; what it comes to, where that is worth a line. Raises
        AwayError or RefusedError.
        """
        do = {
            "start": self._start,
            "metrics": self._metrics,
            "tags": self._tags,
            "artifact": self._artifact,
            "model": self._model,
            "register": self._register,
            "status": self._status,
        }[event["kind"]]
        slow = event["kind"] in ("artifact", "model")
        try:
            with _patience(MLFLOW_HTTP_REQUEST_TIMEOUT=_UPLOAD_SECONDS) if slow else _patience():
                if self._client is None:
                    self._connect()
                return do(event)
        except Exception as error:
            if is_disk_full(error) and not self.is_remote:
                raise
            reason = without_password((str(error).strip() or type(error).__name__).splitlines()[0])
            if self._client is not None and not _is_away(error):
                raise RefusedError(reason) from error
            self.is_doubtful = True
            raise AwayError(reason) from error

    def _connect(self) -> None:
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow
        import mlflow.store.db.utils
        import mlflow.transformers  # with every logger that it brings

        # Ten tries with doubling pauses take 100 s; what a try loses the outbox keeps.
        mlflow.store.db.utils.MAX_RETRY_COUNT = _CONNECTIONS

        for noisy in (
            "mlflow",
            "mlflow.transformers",
            "mlflow.store",
            "alembic",
            "alembic.runtime.migration",
            "sqlalchemy",
            "sqlalchemy.pool",
            "git",
        ):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)  # what they log is raised, too
        location = None
        if self.uri == DEFAULT_URI:
            DEFAULT_STORE.mkdir(exist_ok=True)
            follow_artifacts()
            location = (DEFAULT_STORE / "artifacts" / self._name).resolve().as_uri()
        address = absolute(self.uri)
        # MLflow puts the address into the environment, too, where `tracking_uri` would find it.
        given = os.environ.get(TRACKING_URI)
        mlflow.set_tracking_uri(address)
        if given is None:
            os.environ.pop(TRACKING_URI, None)
        else:
            os.environ[TRACKING_URI] = given
        client = mlflow.MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(self._name)
        if experiment is None:
            self._experiment = client.create_experiment(
                self._name, artifact_location=location, tags=EXPERIMENT_TAGS
            )
        else:
            self._experiment = experiment.experiment_id
            if experiment.lifecycle_stage == "deleted":
                client.restore_experiment(self._experiment)
            for key, value in EXPERIMENT_TAGS.items():
                if experiment.tags.get(key) != value:
                    client.set_experiment_tag(self._experiment, key, value)
        self._client = client

    def _start(self, event: Event) -> None:
        """A run of this handle: the one that the store has of it, or a new one."""
        from mlflow.entities import Param

        handle = event["run"]
        run = self._known(handle) if self.is_doubtful else None
        if run is None:
            parent = {_PARENT: self.runs[event["parent"]]} if event["parent"] else {}
            tags = {**event["tags"], **parent, _HANDLE: handle}
            run = self._client.create_run(self._experiment, event["time"], tags, event["name"])
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        self.runs[handle] = run.info.run_id
        if event["parameters"] and not run.data.params:
            earlier = [
                Param(clean_key(key), value[:_LONGEST_PARAMETER])
                for key, value in event["parameters"].items()
            ]
            for start in range(0, len(earlier), 100):  # as many as the server takes at once
                self._client.log_batch(run.info.run_id, params=earlier[start : start + 100])

    def _known(self, handle: str) -> Any:
        """The run of this handle, if the store has it and nobody deleted it."""
        from mlflow.exceptions import MlflowException

        if handle not in self.runs:
            runs = self._client.search_runs(
                [self._experiment], f"tags.`{_HANDLE}` = '{handle}'", max_results=1
            )
            return runs[0] if runs else None
        try:
            run = self._client.get_run(self.runs[handle])
        except MlflowException as error:
            if _is_away(error):
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _metrics(self, event: Event) -> None:
        from mlflow.entities import Metric

        self._client.log_batch(
            self.runs[event["run"]],
            [Metric(clean_key(key), *rest) for key, *rest in event["metrics"]],
        )

    def _tags(self, event: Event) -> None:
        for key, value in event["tags"].items():
            self._client.set_tag(self.runs[event["run"]], key, value)

    def _artifact(self, event: Event) -> None:
        self._client.log_artifact(self.runs[event["run"]], event["path"], event["folder"])

    def _model(self, event: Event) -> None:
        from distill.tracking.model import log_student

        run, key = self.runs[event["run"]], f"{event['run']}/model"
        if key not in self.runs:  # once: a second try fills the same model
            parameters = self._client.get_run(run).data.params
            model = self._client.create_logged_model(
                self._experiment, event["name"], run, params=parameters
            )
            self.runs[key] = model.model_id
        log_student(run, self.runs[key], Path(event["path"]), event["name"])

    def _register(self, event: Event) -> str:
        from distill.tracking.best import Standing, register_student

        model = self.runs[f"{event['run']}/model"]
        # An earlier distill kept a retention, which tells nothing of dev.
        student = Standing(**event.get("student", {"teacher": "", "tasks": "", "dev": {}}))
        return register_student(self._client, f"models:/{model}", event["name"], student)

    def _status(self, event: Event) -> None:
        self._client.set_terminated(self.runs[event["run"]], event["status"], event["time"])


@contextmanager
def _patience(**changes: str) -> Iterator[None]:
    """MLflow's patience, but for what the user's environment says of it."""
    ours = {name: value for name, value in (_PATIENCE | changes).items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _is_away(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that the store could not be spoken to."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in _NO_ANSWER
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in _NO_ANSWER
    if isinstance(error, FileNotFoundError):
        return False
    return isinstance(error, (OSError, SQLAlchemyError))
