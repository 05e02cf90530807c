"""An exported student where the guide looks for it, and the vectors that distill makes with it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from distill.evaluation.embedding import embed
from distill.models import load_with_tokenizer
from tests.export.guide import export_for_guide

Vectors = npt.NDArray[np.float32]
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("clients")


@pytest.fixture(scope="session")
def project(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above runs/swedish/export."""
    return export_for_guide(load_with_tokenizer(str(tiny_teacher)), tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="session")
def ours(project: Path) -> Callable[[list[str]], Vectors]:
    """Unit vectors of texts, as a run measures them."""
    student = load_with_tokenizer(str(project / "runs" / "swedish" / "export"))
    return lambda texts: embed(student.model, student.tokenizer, texts, pooling="mean", longest=512)


def printed(command: list[str], folder: Path) -> Mapping[str, list[list[float]]]:
    """The JSON on the last line of what a client prints, which runs in `folder` without network."""
    run = subprocess.run(
        command, cwd=folder, env=os.environ | OFFLINE, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: Mapping[str, list[list[float]]] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def unit(rows: list[list[float]]) -> Vectors:
    """Rows of length 1."""
    vectors = np.array(rows, dtype=np.float32)
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
