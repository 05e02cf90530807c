from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedModel

from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import SentenceVectors
from distill.onnx import closeness as room
from distill.onnx.closeness import Closeness, closeness, mean_cosine, shortfall
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.files import pooled_vectors, write_runtimes
from distill.onnx.layout import FLOAT32, INT8
from distill.onnx.sensitivity import Batch
from distill.recipe import ExportSection
from distill.report.results.export import Runtimes


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
        write_runtimes(
            ExportSection(), student, batches, vectors=SentenceVectors("mean"), folder=tmp_path
        )
        == Runtimes()
    )
    assert products_in_float32(tmp_path / INT8) == 0


def test_the_product_that_int8_spoils_stays_in_float32(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path
) -> None:
    student = LoadedModel(model=bert(3000.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(
        ExportSection(), student, batches, vectors=SentenceVectors("mean"), folder=tmp_path
    )
    assert made == Runtimes(left_whole=1)
    assert products_in_float32(tmp_path / INT8) == 1
    vectors = [
        pooled_vectors(OnnxEncoder(tmp_path / name), batches, SentenceVectors("mean"))
        for name in (FLOAT32, INT8)
    ]
    assert (closeness(*vectors).centred_cosine or 0) >= 0.97


def test_a_model_that_int8_spoils_wherever_is_left_out_with_a_reason(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LEAST_CENTRED", 1.01)
    student = LoadedModel(model=bert(0.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(
        ExportSection(), student, batches, vectors=SentenceVectors("cls"), folder=tmp_path
    )
    assert (made.int8_reason or "").startswith(
        "in int8 the mean cosine of its vectors to those in float32, the mean taken out, is "
    )
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]


def test_int8_alone_can_be_left_out(
    tokenizer_of: LoadedModel, batches: list[Batch], tmp_path: Path
) -> None:
    student = LoadedModel(model=bert(0.0), tokenizer=tokenizer_of.tokenizer)
    made = write_runtimes(
        ExportSection(int8=False),
        student,
        batches,
        vectors=SentenceVectors("mean"),
        folder=tmp_path,
    )
    assert (made.float32_reason, made.int8_reason) == (None, "int8 was not asked for")
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]


def test_the_mean_cosine_does_not_depend_on_lengths() -> None:
    one, other = (
        np.array([[1.0, 0.0], [2.0, 2.0]], np.float32),
        np.array([[5.0, 0.0], [0.0, 1.0]], np.float32),
    )
    assert mean_cosine(one, other) == pytest.approx((1 + 2**-0.5) / 2)


def test_a_file_whose_vectors_are_other_sentences_is_not_faithful_however_high_the_raw_cosine() -> (
    None
):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(20, 8)).astype(np.float32)
    vectors[:, 0] += 100.0  # what trained encoders' vectors all have
    others = np.roll(vectors, 1, axis=0)
    found = closeness(others, vectors)
    assert found.cosine > 0.99 and (found.centred_cosine or 1) < 0.5
    assert "the mean taken out" in (shortfall(found) or "")
    assert shortfall(closeness(vectors, vectors)) is None


def test_too_few_nearest_sentences_in_common_are_told() -> None:
    found = Closeness(rows=20, cosine=1.0, centred_cosine=0.99, neighbours=0.5)
    assert shortfall(found) == (
        "in int8 50% of 20 sentences have the nearest sentence that they have in float32, fewer "
        "than 75%"
    )


def test_two_sentences_are_judged_by_their_cosine_alone() -> None:
    two = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert closeness(two, two).centred_cosine is None and shortfall(closeness(two, two)) is None
    assert "is 0.000, less than 0.99" in (shortfall(closeness(two, two[::-1])) or "")
