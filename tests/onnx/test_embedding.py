from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from distill.onnx.embedding import quantise_embedding, quantised_rows


@given(st.integers(0, 2**32 - 1), st.sampled_from([64, 127]), st.floats(1e-3, 1e3))
def test_no_weight_is_off_by_more_than_half_a_step_of_its_row(
    seed: int, most: int, outlier: float
) -> None:
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(6, 5)).astype(np.float32)
    matrix[2] *= outlier  # a row of another size does not coarsen the others
    matrix[3] = 0.0
    rows, scale = quantised_rows(matrix, most)
    assert rows.dtype == np.int8 and np.abs(rows).max() == most
    assert (np.abs(rows * scale - matrix) <= 0.501 * scale).all() and (rows[3] == 0).all()
    np.testing.assert_allclose(
        scale[[0, 1, 2, 4], 0], np.abs(matrix[[0, 1, 2, 4]]).max(1) / most, rtol=1e-6
    )


def test_a_graph_that_looks_tokens_up_in_no_way_known_here_is_left_alone() -> None:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 2])
    rows = numpy_helper.from_array(np.ones((3, 2), np.float32), "rows")
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["found"], "lookup"),
        helper.make_node("Gather", ["rows", "input_ids"], ["again"], "second"),
        helper.make_node("Add", ["found", "again"], ["out"], "sum"),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [ids], [out], [rows]))
    before = model.SerializeToString()
    assert quantise_embedding(model) == [] and model.SerializeToString() == before


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_tokens_row_comes_out_as_it_was(scale: float) -> None:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 4])
    matrix = np.random.default_rng(0).normal(size=(5, 4), scale=scale).astype(np.float32)
    node = helper.make_node("Gather", ["rows", "input_ids"], ["out"], "lookup")
    graph = helper.make_graph([node], "g", [ids], [out], [numpy_helper.from_array(matrix, "rows")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert quantise_embedding(model)
    found = ReferenceEvaluator(model).run(None, {"input_ids": np.array([4, 0])})[0]
    np.testing.assert_allclose(found, matrix[[4, 0]], atol=np.abs(matrix).max() / 250)
