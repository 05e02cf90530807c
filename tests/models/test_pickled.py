from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.models import load_model
from distill.runtime.errors import UserError


@pytest.fixture
def folder(tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny teacher without weights, and an empty cache folder."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_teacher, tmp_path / "teacher")
    (tmp_path / "teacher" / "model.safetensors").unlink()
    return tmp_path / "teacher"


def test_weights_in_pytorchs_format_are_read_once_into_safetensors(
    folder: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    weights = load_file(tiny_teacher / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    model = load_model(str(folder))
    assert all(
        torch.equal(model.get_parameter(name), weights[name])
        for name, _ in model.named_parameters()
    )
    (kept,) = (tmp_path / "cache" / "converted").iterdir()
    before = (kept / "model.safetensors").stat().st_mtime_ns
    load_model(str(folder))
    assert [kept] == list((tmp_path / "cache" / "converted").iterdir())
    assert (kept / "model.safetensors").stat().st_mtime_ns == before


class Malicious:
    """Unpickled by an unguarded reader, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(content)])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    folder: Path, tmp_path: Path, write
) -> None:
    content = {"embeddings.LayerNorm.bias": Malicious(tmp_path / "run")}
    write(content if write is torch.save else pickle.dumps(content), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="is refused: it holds more than weights"):
        load_model(str(folder))
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_folder_without_weights_of_either_kind_says_so(folder: Path) -> None:
    with pytest.raises(UserError, match="has no safetensors weights"):
        load_model(str(folder))
