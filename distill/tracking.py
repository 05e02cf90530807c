"""The only module that talks to MLflow: one run a recipe run, a child run a stage and an evaluated model and task.

Tracking never decides over a run: if the store cannot be reached, one line says so and the run goes on without it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill.errors import is_disk_full
from distill.folders import write_whole
from distill.progress import Progress

DEFAULT_STORE = Path("mlruns")
_PARENT = "mlflow.parentRunId"
_MEMORY = "tracking.json"
# The UI then opens on runs and their curves instead of on the traces of a language-model application.
_KIND = {"mlflow.experimentKind": "custom_model_development"}
# By default MLflow tries seven times, with doubling pauses: minutes lost to a server that is not there.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_LONGEST_PARAMETER = 500


def tracking_uri() -> str:
    """$MLFLOW_TRACKING_URI, else the project's own SQLite store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DEFAULT_STORE / 'mlflow.db'}"


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; lists stay whole."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in flatten(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


class Tracker:
    """One recipe run in MLflow, which goes on where an unfinished one stopped."""

    def __init__(self, experiment: str, run_folder: Path, progress: Progress) -> None:
        self._progress = progress
        self._memory_file = run_folder / _MEMORY
        self._memory: dict[str, Any] = {"uri": tracking_uri(), "parent": None, "children": {}}
        self._client: Any = None
        self._experiment = ""
        self._children: list[str] = []
        self._safely(lambda: self._connect(experiment))

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Begin a run, or go on with the one of this folder that did not finish."""
        self._safely(lambda: self._start(name, parameters, tags))

    def finish(self, status: str) -> None:
        """Close the run and whatever child is open as FINISHED, FAILED or KILLED."""

        def close() -> None:
            for child in reversed(self._children):
                self._client.set_terminated(child, status)
            self._children.clear()
            self._client.set_terminated(self._memory["parent"], status)
            if status == "FINISHED":
                self._memory_file.unlink(missing_ok=True)

        self._safely(close)

    @contextmanager
    def child(self, name: str, tags: Mapping[str, str] | None = None) -> Iterator[None]:
        """A child run while the block runs; children nest, and one that did not finish is gone on with."""
        self._safely(lambda: self._start_child(name, dict(tags or {})))
        yield

        def close() -> None:
            child = self._children.pop()
            self._client.set_terminated(child, "FINISHED")
            self._memory["children"].pop(name, None)
            self._remember()

        self._safely(close)

    def log(self, metrics: Mapping[str, float | int | None], step: int = 0) -> None:
        """Metrics of the innermost open run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        numbers = {key: float(value) for key, value in metrics.items() if value is not None}
        found = [Metric(_clean(key), value, now, step) for key, value in numbers.items()]
        self._safely(lambda: self._client.log_batch(self._current, metrics=found))

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Parameters of the innermost open run; ones that were logged before stay."""
        from mlflow.entities import Param

        found = [Param(_clean(key), str(value)[:_LONGEST_PARAMETER]) for key, value in flatten(values).items()]

        def send() -> None:
            for start in range(0, len(found), 100):  # as many as the server takes at once
                self._client.log_batch(self._current, params=found[start : start + 100])

        self._safely(send)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file of the innermost open run."""
        self._safely(lambda: self._client.log_artifact(self._current, str(path), folder))

    def model(self, folder: Path, name: str) -> None:
        """The transformers model in `folder`, logged so that `mlflow.transformers.load_model` loads it."""

        def log_model() -> None:
            import mlflow
            import torch
            import transformers

            with mlflow.start_run(run_id=self._current):
                mlflow.transformers.log_model(
                    transformers_model={
                        "model": transformers.AutoModel.from_pretrained(folder),
                        "tokenizer": transformers.AutoTokenizer.from_pretrained(folder),
                    },
                    name=name,
                    task="feature-extraction",
                    pip_requirements=[
                        f"torch=={torch.__version__.split('+')[0]}",
                        f"transformers=={transformers.__version__}",
                    ],
                )
            # Leaving `start_run` closes the run; what follows still belongs to it.
            self._client.update_run(self._current, status="RUNNING")

        self._safely(log_model)

    @property
    def _current(self) -> str:
        return str(self._children[-1] if self._children else self._memory["parent"])

    def _connect(self, experiment: str) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        import mlflow
        import mlflow.transformers  # with every logger that it brings

        for noisy in ("mlflow", "mlflow.transformers", "mlflow.store", "alembic", "alembic.runtime.migration", "git"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        uri = self._memory["uri"]
        location = None
        if uri == f"sqlite:///{DEFAULT_STORE / 'mlflow.db'}":
            DEFAULT_STORE.mkdir(exist_ok=True)
            location = (DEFAULT_STORE / "artifacts" / experiment).resolve().as_uri()
        mlflow.set_tracking_uri(uri)
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(experiment)
        if found is None:
            self._experiment = self._client.create_experiment(experiment, artifact_location=location, tags=_KIND)
        else:
            self._experiment = found.experiment_id
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(self._experiment)

    def _start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        left = self._recall()
        if left is not None:
            self._memory = left
            self._client.update_run(left["parent"], status="RUNNING")
            return
        run = self._client.create_run(self._experiment, run_name=name, tags={**tags, "stage": "recipe"})
        self._memory["parent"] = run.info.run_id
        self._remember()
        self.parameters(parameters)

    def _start_child(self, name: str, tags: dict[str, str]) -> None:
        if known := self._memory["children"].get(name):
            self._client.update_run(known, status="RUNNING")
            self._children.append(known)
            return
        tags = {**tags, _PARENT: self._current}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        self._children.append(run.info.run_id)
        self._memory["children"][name] = run.info.run_id
        self._remember()

    def _recall(self) -> dict[str, Any] | None:
        """The unfinished run of this folder, if this store still has it."""
        from mlflow.exceptions import MlflowException

        try:
            memory: dict[str, Any] = json.loads(self._memory_file.read_text(encoding="utf-8"))
            if memory["uri"] != self._memory["uri"]:
                return None
            run = self._client.get_run(memory["parent"])
            return memory if run.info.lifecycle_stage == "active" else None
        except (OSError, ValueError, KeyError, MlflowException):
            return None

    def _remember(self) -> None:
        write_whole(self._memory_file, json.dumps(self._memory))

    def _safely(self, action: Callable[[], None]) -> None:
        if self._client is None and self._experiment:
            return  # the store was lost before
        try:
            action()
        except Exception as error:  # whatever a store, a database driver or a network throws
            if is_disk_full(error):
                raise
            self._client, self._experiment = None, "lost"
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._progress.say(
                f"MLflow at {self._memory['uri']} cannot be written to ({first}); going on without it.", "yellow"
            )


def _clean(key: str) -> str:
    """The key with the characters that MLflow allows alone."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)
