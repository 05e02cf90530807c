"""OpenVINO's files give what the ONNX file gives, in int8 nearly so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

pytest.importorskip("openvino", reason="needs the extra openvino")
pytest.importorskip("nncf", reason="needs the extra openvino")

from distill.benchmark.process import measure_footprint
from distill.export.openvino_files import write_openvino_files
from distill.library.benchmark import benchmark
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import SentenceVectors
from distill.models.saving import save_model
from distill.onnx import closeness
from distill.onnx.closeness import mean_cosine
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.files import pooled_vectors
from distill.onnx.sensitivity import Batch
from distill.openvino.encoder import OpenvinoEncoder
from distill.openvino.layout import FLOAT32, INT8
from distill.recipe import ExportSection

SIZES = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
}


@pytest.fixture(scope="module")
def student(tiny_teacher: Path) -> LoadedModel:
    """A random BERT, which reads the types of tokens."""
    torch.manual_seed(0)
    tokenizer = load_with_tokenizer(str(tiny_teacher)).tokenizer
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **SIZES)
    return LoadedModel(model=BertModel(config).eval(), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def batches(student: LoadedModel) -> list[Batch]:
    draw, pieces = np.random.default_rng(0), len(student.tokenizer)
    return [
        (ids := draw.integers(5, pieces, (1, length)), np.ones_like(ids)) for length in range(4, 40)
    ]


@pytest.fixture(scope="module")
def folder(
    student: LoadedModel, batches: list[Batch], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    place = tmp_path_factory.mktemp("openvino")
    save_model(student.model, student.tokenizer, place)
    section = ExportSection(openvino=True)
    assert (
        write_openvino_files(
            section, student, batches, vectors=SentenceVectors("mean"), folder=place
        )
        is None
    )
    return place


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_file_in_float32_gives_the_models_states_with_padding_on_either_side(
    student: LoadedModel, folder: Path, side: str
) -> None:
    ids = np.random.default_rng(1).integers(5, len(student.tokenizer), (3, 21))
    mask = (np.arange(21) < np.array([[21], [9], [1]])).astype(np.int64)
    mask = mask[:, ::-1].copy() if side == "left" else mask
    found = OpenvinoEncoder(folder / FLOAT32, threads=1)(ids, mask)
    with torch.inference_mode():
        expected = student.model(
            input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)
        ).last_hidden_state.numpy()
    np.testing.assert_allclose(found * mask[..., None], expected * mask[..., None], atol=1e-5)


def test_the_file_in_int8_is_small_and_its_vectors_are_near(
    folder: Path, batches: list[Batch]
) -> None:
    whole, small = (
        pooled_vectors(OpenvinoEncoder(folder / name), batches, SentenceVectors("mean"))
        for name in (FLOAT32, INT8)
    )
    assert 0.99 < mean_cosine(whole, small) < 1
    sizes = [(folder / name).with_suffix(".bin").stat().st_size for name in (FLOAT32, INT8)]
    assert sizes[1] < 0.4 * sizes[0]


def test_an_int8_file_that_is_not_faithful_is_left_out_with_a_reason(
    student: LoadedModel, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closeness, "LEAST_CENTRED", 1.01)
    reason = write_openvino_files(
        ExportSection(openvino=True), student, batches[:4], pooling="cls", folder=tmp_path
    )
    assert (reason or "").startswith("in int8 the mean cosine of its vectors to those in float32")
    assert {path.name for path in (tmp_path / "openvino").iterdir()} == {
        "openvino_model.xml",
        "openvino_model.bin",
    }


def test_nothing_of_this_machine_is_in_the_files(folder: Path) -> None:
    for name in (FLOAT32, INT8):
        text = (folder / name).read_text(encoding="utf-8")
        assert str(folder.parent) not in text and "/tmp/" not in text


def test_an_exported_folders_own_files_are_what_a_benchmark_measures(folder: Path) -> None:
    result = benchmark(
        [str(folder)],
        runtimes=["openvino", "openvino_int8", "onnx"],
        devices=["cpu"],
        threads=[1],
        batch_sizes=[1],
        lengths=[8],
        seconds=0.1,
        progress=False,
    )
    rows = {(row.runtime, row.precision): row for row in result.measurements}
    assert set(rows) == {("openvino", "float32"), ("openvino", "int8"), ("onnx", "float32")}
    assert all(row.median_ms and row.load_ms and row.peak_memory_bytes for row in rows.values())
    own = [(folder / name).with_suffix(".bin").stat().st_size for name in (FLOAT32, INT8)]
    assert rows["openvino", "float32"].bytes_on_disk > own[0]
    assert (
        own[1] < rows["openvino", "int8"].bytes_on_disk < rows["openvino", "float32"].bytes_on_disk
    )


def test_a_fresh_process_loads_the_file(folder: Path) -> None:
    found = measure_footprint("openvino_int8", folder / INT8, [(1, 8)])
    assert 0 < found.load_ms < 60_000 and found.peaks[1, 8] > 20_000_000


def test_onnx_and_openvino_agree(
    student: LoadedModel, folder: Path, batches: list[Batch], tmp_path: Path
) -> None:
    from distill.onnx.conversion import write_onnx

    write_onnx(student.model, tmp_path / "model.onnx", types=True)
    both = [
        pooled_vectors(encoder, batches, SentenceVectors("cls"))
        for encoder in (OnnxEncoder(tmp_path / "model.onnx"), OpenvinoEncoder(folder / FLOAT32))
    ]
    np.testing.assert_allclose(*both, atol=1e-5)
