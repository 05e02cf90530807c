from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedModel

from distill.export import runtimes
from distill.export.runtimes import mean_cosine, pooled_vectors, write_runtimes
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import SentenceVectors
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import FLOAT32, INT8
from distill.onnx.sensitivity import Batch
from distill.recipe import ExportSection


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    draw = np.random.default_rng(0)
    return [(ids := draw.integers(5, 60, (1, length)), np.ones_like(ids)) for length in (4, 9, 13)]


def bert(outlier: float) -> PreTrainedModel:
    """A random model, one unit of whose last layer is always at `outlier`, which leaves no steps
    for its neighbours.
    """
    torch.manual_seed(0)
    size = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
    }
    model = BertModel(
        BertConfig(vocab_size=60, max_position_embeddings=32, initializer_range=0.3, **size)
    ).eval()
    last = model.encoder.layer[1]
    with torch.no_grad():
        last.intermediate.dense.bias[0] = outlier
        last.output.dense.weight[:, 0] = 0.0
    return model


@pytest.fixture
def tokenizer_of(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def products_in_float32(file: Path) -> int:
    graph = onnx.load(file).graph
    stored = {tensor.name for tensor in graph.initializer}
    return sum(node.op_type == "MatMul" and node.input[1] in stored for node in graph.node)


def test_a_faithful_model_is_quantised_throughout(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path
) -> None:
    student = LoadedModel(model=bert(0.0), tokenizer=tokenizer_of.tokenizer)
    assert (
        write_runtimes(ExportSection(), student, batches, pooling="mean", folder=tmp_path)
        == runtimes.Runtimes()
    )
    assert products_in_float32(tmp_path / INT8) == 0


def test_the_product_that_int8_spoils_stays_in_float32(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path
) -> None:
    student = LoadedModel(model=bert(3000.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(ExportSection(), student, batches, pooling="mean", folder=tmp_path)
    assert made == runtimes.Runtimes(left_whole=1)
    assert products_in_float32(tmp_path / INT8) == 1
    vectors = [
        pooled_vectors(OnnxEncoder(tmp_path / name), batches, SentenceVectors("mean"))
        for name in (FLOAT32, INT8)
    ]
    assert mean_cosine(*vectors) >= 0.99


def test_a_model_that_int8_spoils_wherever_is_left_out_with_a_reason(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "LEAST_COSINE", 1.01)
    student = LoadedModel(model=bert(0.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(ExportSection(), student, batches, pooling="cls", folder=tmp_path)
    assert (made.int8_reason or "").startswith(
        "in int8 the mean cosine of its vectors to those in float32 is 1.000, less than"
    )
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]


def test_int8_alone_can_be_left_out(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path
) -> None:
    student = LoadedModel(model=bert(0.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(
        ExportSection(int8=False), student, batches, pooling="mean", folder=tmp_path
    )
    assert (made.float32_reason, made.int8_reason) == (None, "int8 was not asked for")
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]


def test_the_mean_cosine_does_not_depend_on_lengths() -> None:
    one, other = (
        np.array([[1.0, 0.0], [2.0, 2.0]], np.float32),
        np.array([[5.0, 0.0], [0.0, 1.0]], np.float32),
    )
    assert mean_cosine(one, other) == pytest.approx((1 + 2**-0.5) / 2)
