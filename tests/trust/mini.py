"""A whole run in seconds: a random teacher of width 32, made-up text, every stage."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from distill.runtime.lock import LOCK
from tests import forking
from tests.conftest import distill_environment, swedish_sentences
from tests.trust.moments import MOMENT, Moment

Done = subprocess.CompletedProcess[str]

NO_STORE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""Nothing answers there: a store of its own takes a case seconds."""
WEIGHTS = ("vocabulary/model", "student/model", "distillation/model", "export")
"""Where a run keeps models."""


def write_mini(folder: Path, teacher: Path, **changes: Any) -> Path:
    """Text, a task and the recipe of a run of seconds; the recipe's path. Keys are dotted; None
    takes one out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = [" ".join(swedish_sentences(3, seed)) for seed in range(160)]
    _write_rows(folder / "t.jsonl", [{"text": text} for text in texts])
    pairs = zip(swedish_sentences(12, 7), swedish_sentences(12, 8), strict=True)
    _write_rows(folder / "faq.jsonl", [{"q": q, "a": f"{q} {a}"} for q, a in pairs])
    task = {
        "name": "faq",
        "kind": "retrieval",
        "source": {"path": str(folder / "faq.jsonl")},
        "query": "q",
        "passage": "a",
    }
    recipe: dict[str, Any] = {
        "name": "mini",
        "language": "sv",
        "teacher": {"model": str(teacher)},
        "corpus": {"sources": [{"path": str(folder / "t.jsonl")}], "heldout": 0.1},
        "vocabulary": {"min_count": 1},
        "student": {"layers": 2},
        "distillation": {
            "tokens": 6000,
            "batch_tokens": 512,
            "precision": "float32",
            "checkpoint_seconds": 1e-9,  # after every step, whatever the machine is busy with
            "validations": 2,
        },
        "evaluation": {"models": ["teacher", "student"], "tasks": [task]},
        "benchmark": {
            "models": ["student"],
            "runtimes": ["torch"],
            "threads": [1],
            "batch_sizes": [1],
            "lengths": [8],
            "seconds": 0.05,
        },
        "export": {"onnx": False},
    }
    for key, value in changes.items():
        *sections, last = key.split(".")
        holder = recipe
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[last] = value
        if value is None:
            del holder[last]
    path = folder / "mini.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Mini:
    """A working folder with a recipe that is run there."""

    folder: Path
    recipe: Path

    @property
    def run_folder(self) -> Path:
        return self.folder / "runs" / "mini"

    def copy(self, folder: Path) -> Mini:
        """The same, finished or not, elsewhere."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Mini(folder, self.recipe)

    def distill(self, *arguments: object, **options: Any) -> Done:
        """`distill recipe mini.yaml ...` in this folder."""
        return distill_in(self.folder, "recipe", self.recipe, *arguments, **options)

    def distill_with(self, *arguments: object) -> Done:
        """`distill ...` in this folder."""
        return distill_in(self.folder, *arguments)

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """The same, under way."""
        return start_in(self.folder, "recipe", self.recipe, *arguments, **options)

    def go_on(self) -> Done:
        """The next run, which has to end well and leave nothing to do."""
        done = self.distill()
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def result(self) -> dict[str, Any]:
        """What is the same for the same recipe, whatever happened in between."""
        report = json.loads((self.run_folder / "report.json").read_text())
        scores = [(row["model"], row["task"], row["scores"]) for row in report["evaluation"]]
        files = {
            path.relative_to(self.run_folder).as_posix()
            for path in self.run_folder.rglob("*")
            if path.is_file() and path.name != LOCK
        }
        return {"weights": self.weights(), "scores": scores, "files": sorted(files)}

    def weights(self) -> dict[str, str]:
        """A hash of each model that the run made."""
        return {
            place: sha256((self.run_folder / place / "model.safetensors").read_bytes()).hexdigest()
            for place in WEIGHTS
        }

    def tracked(self) -> list[str]:
        """The status of each recipe run in MLflow, oldest first."""
        query = (
            "SELECT status FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = "
            "'mlflow.parentRunId') ORDER BY start_time"
        )
        with closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db")) as database:
            return [status for (status,) in database.execute(query)]


def distill_in(
    folder: Path,
    *arguments: object,
    moment: Moment | None = None,
    timeout: float = 300,
    **environment: str,
) -> Done:
    """`distill ...` in a folder, forked by the tests' server; with `moment` it dies there."""
    process = start_in(folder, *arguments, moment=moment, **environment)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        raise
    return Done(process.args, process.returncode, output, errors)


def start_in(
    folder: Path, *arguments: object, moment: Moment | None = None, **environment: str
) -> subprocess.Popen[str]:
    """`distill ...` in a folder, under way."""
    folder.mkdir(parents=True, exist_ok=True)
    if moment is not None:
        environment[MOMENT] = json.dumps(moment)
    program = ("-m", "tests.trust.moments" if moment is not None else "distill")
    return subprocess.Popen(
        forking.command(*arguments, environment=distill_environment(), program=program),
        cwd=folder,
        env=distill_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_root() -> bool:
    """Whether file permissions mean nothing to this process."""
    return os.geteuid() == 0


def is_told(done: Done) -> bool:
    """Whether a command ended as a user's mistake does: exit code 2, sentences, no traceback."""
    told = done.stderr.strip()
    return (
        done.returncode == 2
        and bool(told)
        and "Traceback" not in told
        and "fault in distill" not in told
        and "object at 0x" not in told
        and max(map(len, told.splitlines())) < 2000
    )
