from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from transformers import BertConfig, BertModel

from distill.onnx.conversion import write_onnx
from distill.onnx.sensitivity import worst_products


def test_a_product_whose_input_has_an_outlier_is_named_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
    }
    model = BertModel(BertConfig(vocab_size=60, max_position_embeddings=32, **size)).eval()
    # One unit of the second layer is always at 1000, which says nothing and leaves the others no
    # steps.
    with torch.no_grad():
        model.encoder.layer[1].intermediate.dense.bias[0] = 1000.0
        model.encoder.layer[1].output.dense.weight[:, 0] = 0.0
    write_onnx(model, tmp_path / "model.onnx")
    ids = np.arange(5, 15)[None]
    names = worst_products(tmp_path / "model.onnx", [(ids, np.ones_like(ids))])
    nodes = {node.name: node for node in onnx.load(tmp_path / "model.onnx").graph.node}
    stored = {
        tensor.name: list(tensor.dims)
        for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer
    }
    downs = [
        node.name
        for node in nodes.values()
        if node.op_type == "MatMul" and stored.get(node.input[1]) == [48, 32]
    ]
    assert len(names) == 2 * 6 and names[0] == downs[1]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
