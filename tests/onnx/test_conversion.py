from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedConfig,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import INPUTS, OUTPUT
from distill.onnx.quantisation import write_int8

VOCABULARY, POSITIONS, PADDING = 200, 64, 1
SIZES = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
}
COMMON = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "pad_token_id": PADDING}
ENDS = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(**SIZES, **COMMON),
    "xlm-roberta": lambda: XLMRobertaConfig(**SIZES, **COMMON),
    "distilbert": lambda: DistilBertConfig(dim=32, n_heads=4, hidden_dim=64, n_layers=2, **COMMON),
    # One layer attends globally and one to near tokens, so that both masks are converted.
    "modernbert": lambda: ModernBertConfig(
        **SIZES, **COMMON, **ENDS, local_attention=8, global_attn_every_n_layers=2
    ),
}


def batch_of(
    shape: tuple[int, int], lengths: list[int], side: str = "right"
) -> dict[str, np.ndarray]:
    """Random ids with padding on the right or the left of each sequence."""
    ids = np.random.default_rng(0).integers(5, VOCABULARY, shape)
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    mask = mask[:, ::-1].copy() if side == "left" else mask
    return {"input_ids": np.where(mask == 1, ids, PADDING), "attention_mask": mask}


@torch.inference_mode()
def states_of(model: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
    hidden: np.ndarray = model.base_model(
        **{name: torch.from_numpy(array) for name, array in batch.items()}
    )[0].numpy()
    return hidden


@pytest.fixture(scope="module", params=CONFIGS)
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """A random model of each architecture, and its file."""
    torch.manual_seed(0)
    model = AutoModel.from_config(CONFIGS[request.param]()).eval()
    path = tmp_path_factory.mktemp("onnx") / "onnx" / "model.onnx"
    write_onnx(model, path)
    return model, path


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((1, 1), [1]), ((1, 5), [5]), ((3, 21), [21, 9, 1]), ((2, POSITIONS - 2), [62, 40])],
    ids=str,
)
def test_the_file_gives_the_models_hidden_states_at_any_batch_length_and_padding(
    converted: tuple[Any, Path], shape: tuple[int, int], lengths: list[int], side: str
) -> None:
    model, path = converted
    batch = batch_of(shape, lengths, side)
    visible = batch["attention_mask"][..., None]
    # Float32 sums in another order.
    np.testing.assert_allclose(
        OnnxEncoder(path, threads=1)(**batch) * visible,
        states_of(model, batch) * visible,
        atol=1e-5,
    )


def test_attention_is_plain_products_and_the_model_attends_as_before(
    converted: tuple[Any, Path],
) -> None:
    model, path = converted
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "Softmax" in kinds and "IsNaN" not in kinds
    assert model.config._attn_implementation == "sdpa"


def test_inputs_and_output_are_named_as_the_hub_names_them_with_free_axes(
    converted: tuple[Any, Path],
) -> None:
    import onnx

    graph = onnx.load(converted[1]).graph
    axes = {
        v.name: [axis.dim_param for axis in v.type.tensor_type.shape.dim]
        for v in [*graph.input, *graph.output]
    }
    assert axes == {
        name: ["batch", "length", ""][: 3 if name == OUTPUT else 2] for name in (*INPUTS, OUTPUT)
    }


def test_nothing_of_this_machine_is_in_the_file(converted: tuple[Any, Path]) -> None:
    content = converted[1].read_bytes()
    assert (
        b".py" not in content
        and b"site-packages" not in content
        and str(Path.cwd()).encode() not in content
    )


def test_a_head_over_the_encoder_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BertForMaskedLM(CONFIGS["bert"]()).eval()
    write_onnx(model, tmp_path / "model.onnx")
    hidden = OnnxEncoder(tmp_path / "model.onnx")(**batch_of((2, 7), [7, 4]))
    assert hidden.shape == (2, 7, 32)


def test_an_architecture_that_cannot_be_converted_is_told_by_its_name(tmp_path: Path) -> None:
    class FickleModel(BertModel):
        """Computes one thing or another, depending on what it reads, which a graph cannot say."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:  # type: ignore[override]
            if input_ids.sum() > attention_mask.sum():
                return super().forward(input_ids=input_ids)
            return super().forward(input_ids=input_ids, attention_mask=attention_mask)

    with pytest.raises(ConversionError, match="FickleModel cannot be converted to ONNX: "):
        write_onnx(FickleModel(CONFIGS["bert"]()), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


HEADS: dict[str, type[Any]] = {
    "bert": BertForMaskedLM,
    "xlm-roberta": XLMRobertaForMaskedLM,
    "distilbert": DistilBertForMaskedLM,
    "modernbert": ModernBertForMaskedLM,
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "distilbert" else ()) for name in HEADS],
)
def test_with_its_head_the_file_gives_logits_and_the_encoders_states_in_both_precisions(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = HEADS[name](CONFIGS[name]()).eval()
    whole, small = tmp_path / "model.onnx", tmp_path / "model_quantized.onnx"
    write_onnx(model, whole, head=True)
    write_int8(whole, small)
    batch = batch_of((2, 9), [9, 4])
    with torch.inference_mode():
        logits = model(
            **{key: torch.from_numpy(array) for key, array in batch.items()}
        ).logits.numpy()
    for file, tolerance in ((whole, 1e-5), (small, 0.1)):
        session = onnxruntime.InferenceSession(file)
        assert [output.name for output in session.get_outputs()] == ["logits", "last_hidden_state"]
        found = session.run(None, batch)
        for one, other in zip(found, (logits, states_of(model, batch)), strict=True):
            visible = batch["attention_mask"][..., None]
            assert np.abs((one - other) * visible).max() <= tolerance * np.abs(other).max()
    # One matrix serves tokens and head, and none is left in float32.
    tensors = onnx.load(small).graph.initializer
    assert [list(t.dims) for t in tensors].count([VOCABULARY, 32]) == 1
    assert [
        t.name
        for t in tensors
        if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2 and 1 not in t.dims
    ] == []


def test_weights_too_large_for_one_file_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distill.onnx import conversion, quantisation

    for module in (conversion, quantisation):
        monkeypatch.setattr(module, "ONE_FILE_BYTES", 1000)
    torch.manual_seed(0)
    model = AutoModel.from_config(CONFIGS["xlm-roberta"]()).eval()
    whole, small = tmp_path / "model.onnx", tmp_path / "model_quantized.onnx"
    write_onnx(model, whole)
    write_int8(whole, small)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.onnx",
        "model.onnx_data",
        "model_quantized.onnx",
        "model_quantized.onnx_data",
    ]
    batch = batch_of((2, 7), [7, 4])
    visible = batch["attention_mask"][..., None]
    np.testing.assert_allclose(
        OnnxEncoder(whole)(**batch) * visible, states_of(model, batch) * visible, atol=1e-5
    )
    np.testing.assert_allclose(
        OnnxEncoder(small)(**batch) * visible, states_of(model, batch) * visible, atol=0.1
    )
