from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from distill.onnx.conversion import write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.quantisation import write_int8
from distill.student.depth import keep_layers
from tests.conftest import needs_quickstart

SENTENCES = (
    "query: Regeringen föreslår höjda skatter på drivmedel.",
    "query: Vad krävs för bygglov?",
    "passage: Kommunen prövar ansökan om bygglov enligt plan- och bygglagen, och kan neka den som "
    "bygger utan att ha frågat.",
    "passage: Fisken simmar i havet, och solen skiner över staden under hela sommaren.",
)
WIDTH = 128


def small_bert(vocabulary: int = 4000) -> torch.nn.Module:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    size = {
        "hidden_size": WIDTH,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
    }
    return BertModel(BertConfig(vocab_size=vocabulary, max_position_embeddings=64, **size)).eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A random model in float32 and in int8."""
    folder = tmp_path_factory.mktemp("onnx")
    whole, small = folder / "model.onnx", folder / "model_quantized.onnx"
    write_onnx(small_bert(), whole)  # type: ignore[arg-type]
    write_int8(whole, small)
    return whole, small


def float_matrices(file: Path) -> Sequence[str]:
    """The float32 matrices in the file, but for those as small as positions and single rows."""
    tensors = onnx.load(file).graph.initializer
    return [
        t.name
        for t in tensors
        if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) > 64 * WIDTH
    ]


def test_every_matrix_and_the_embeddings_are_quantised(files: tuple[Path, Path]) -> None:
    assert len(float_matrices(files[0])) == 1 + 2 * 6
    assert float_matrices(files[1]) == []


def test_each_output_channel_has_its_own_scale(files: tuple[Path, Path]) -> None:
    tensors = onnx.load(files[1]).graph.initializer
    scales = [
        list(tensor.dims) for tensor in tensors if tensor.name.endswith("_scale") and tensor.dims
    ]
    assert scales.count([512]) == 2 and scales.count([WIDTH]) == 2 * 5


def test_the_file_is_about_a_quarter_of_the_size(files: tuple[Path, Path]) -> None:
    whole, small = (file.stat().st_size for file in files)
    assert 0.24 < small / whole < 0.32


@needs_quickstart
def test_sentence_vectors_of_the_real_teachers_layers_stay_what_they_were(tmp_path: Path) -> None:
    from distill.models import load_with_tokenizer

    teacher = load_with_tokenizer("package:multilingual-e5-small")
    batch = teacher.tokenizer(list(SENTENCES), padding=True, return_tensors="np")
    kept, ids = np.unique(batch["input_ids"], return_inverse=True)
    model = keep_layers(teacher.model, [4, 8, 12])
    # The rows that these sentences look up, and some more so that the scale is not theirs alone.
    rows = np.concatenate([kept, np.arange(1000, 3000)])
    model.set_input_embeddings(
        torch.nn.Embedding.from_pretrained(model.get_input_embeddings().weight[rows].detach())
    )
    model.config.vocab_size = len(rows)
    ids, mask = ids.reshape(batch["input_ids"].shape), batch["attention_mask"]
    with torch.inference_mode():
        hidden = model(
            input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)
        ).last_hidden_state.numpy()
    write_onnx(model, tmp_path / "model.onnx")
    write_int8(tmp_path / "model.onnx", tmp_path / "model_quantized.onnx")

    def pooled(states: np.ndarray) -> np.ndarray:
        vectors = (states * mask[..., None]).sum(1)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    whole, small = (
        OnnxEncoder(tmp_path / name, threads=1)(ids, mask)
        for name in ("model.onnx", "model_quantized.onnx")
    )
    np.testing.assert_allclose(whole * mask[..., None], hidden * mask[..., None], atol=1e-4)
    assert ((pooled(small) * pooled(hidden)).sum(1) >= 0.99).all()
