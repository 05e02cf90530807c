from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from distill.export.proof import ExportError, prove
from distill.export.verify_export import _no_network
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.saving import save_model
from distill.onnx.conversion import write_onnx
from distill.onnx.layout import FLOAT32
from distill.student.depth import keep_layers, untrained_copy
from tests.conftest import swedish_sentences

SENTENCES = swedish_sentences(3, seed=9)


@pytest.fixture
def folder(student: LoadedModel, tmp_path: Path) -> Path:
    save_model(student.model, student.tokenizer, tmp_path)
    return tmp_path


@pytest.mark.cold
def test_a_saved_student_is_itself(student: LoadedModel, folder: Path) -> None:
    proof = prove(folder, student, SENTENCES, pooling="mean")
    assert (proof.sentences, proof.onnx_max_abs_difference, proof.int8_cosine, proof.int8_time) == (
        3,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "name", ["encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"]
)
def test_a_changed_weight_is_found(student: LoadedModel, folder: Path, name: str) -> None:
    changed = LoadedModel(model=keep_layers(student.model, [1, 2]), tokenizer=student.tokenizer)
    with torch.no_grad():
        changed.model.get_parameter(name).view(-1)[0] += 1e-3
    with pytest.raises(ExportError, match="does not give the student's hidden states"):
        prove(folder, changed, SENTENCES, pooling="mean")


def test_a_changed_tokenizer_is_found(
    student: LoadedModel, folder: Path, tiny_teacher: Path
) -> None:
    other = load_with_tokenizer(str(tiny_teacher)).tokenizer
    other.add_tokens([SENTENCES[0].split()[1]])
    with pytest.raises(ExportError, match="does not give the student's tokens"):
        prove(folder, LoadedModel(model=student.model, tokenizer=other), SENTENCES, pooling="mean")


def test_a_changed_head_is_found_by_logits_and_by_what_it_fills_in(
    masked_student: LoadedModel, tmp_path: Path
) -> None:
    save_model(masked_student.model, masked_student.tokenizer, tmp_path)
    prove(tmp_path, masked_student, SENTENCES, pooling="mean")
    with torch.no_grad():
        masked_student.model.lm_head.bias[7] += 1.0
    try:
        with pytest.raises(ExportError, match="does not give the student's logits"):
            prove(tmp_path, masked_student, SENTENCES, pooling="mean")
    finally:
        with torch.no_grad():
            masked_student.model.lm_head.bias[7] -= 1.0


def test_an_onnx_file_of_another_model_is_found(student: LoadedModel, folder: Path) -> None:
    write_onnx(untrained_copy(student.model, 1), folder / FLOAT32)
    with pytest.raises(
        ExportError, match=r"onnx/model.onnx is up to \S+ off the student, more than 0.0001"
    ):
        prove(folder, student, SENTENCES, pooling="mean")


def test_a_folder_that_stock_classes_cannot_load_is_told_by_what_they_say(
    student: LoadedModel, folder: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "of-my-own"}))
    with pytest.raises(
        ExportError, match=r"stock classes cannot load the exported folder \(.*of-my-own"
    ):
        prove(folder, student, SENTENCES, pooling="mean")


def test_a_folder_that_would_need_a_network_is_refused() -> None:
    with pytest.raises(OSError, match="without network"):
        _no_network("socket.connect", ())
    _no_network("open", ())


def test_what_is_computed_here_keeps_the_threads_of_the_run(
    student: LoadedModel, folder: Path
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        prove(folder, student, SENTENCES[:1], pooling="cls")
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    shutil.rmtree(folder)
