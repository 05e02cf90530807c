"""Token embeddings to int8, each row by its own scale, in one matrix that a masked-language-model
head shares.

ONNX Runtime's own quantisation gives the whole matrix one scale, and leaves a head that is tied to
it in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distill.onnx.layout import INPUTS

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MOST, _MOST_IN_PRODUCT = 127, 64
"""The largest weight in 8 bits; one less bit in a product, as for other matrices (see
`write_int8`).
"""


def quantise_embedding(model: ModelProto) -> list[str]:
    """Quantise the token embeddings of `model`, in place; the names of the nodes that are done
    with.

    A head tied to the embeddings multiplies by the same matrix. A graph that looks tokens up in
    another way is left alone.
    """
    from onnx import numpy_helper

    graph = model.graph
    matrices = {tensor.name: tensor for tensor in graph.initializer}
    lookup = next(
        (
            n
            for n in graph.node
            if n.op_type == "Gather" and n.input[0] in matrices and n.input[1] == INPUTS[0]
        ),
        None,
    )
    if lookup is None:
        return []
    name = lookup.input[0]
    tied = next(
        (n for n in graph.node if n.op_type == "Transpose" and list(n.input) == [name]), None
    )
    products = [
        n
        for n in graph.node
        if tied is not None and n.op_type == "MatMul" and n.input[1] == tied.output[0]
    ]
    users = [node for node in graph.node if name in node.input]
    if len(users) > 1 + (tied is not None) or (tied is not None and len(products) != 1):
        return []
    rows, scale = quantised_rows(
        numpy_helper.to_array(matrices[name]), _MOST_IN_PRODUCT if products else _MOST
    )
    graph.initializer.remove(matrices[name])
    graph.initializer.extend(
        [
            numpy_helper.from_array(rows, f"{name}_quantized"),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
    )

    replaced = {lookup.name: _lookup(lookup, name)}
    if tied is not None:
        replaced[products[0].name] = _product(products[0], name)
        tied.input[0], tied.output[0] = f"{name}_quantized", f"{name}_columns"
    nodes = [new for node in graph.node for new in replaced.get(node.name, [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    return [node.name for new in replaced.values() for node in new]


def quantised_rows(
    matrix_VD: npt.NDArray[np.float32], most: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Whole numbers from -most to most, and the scale of each row [V, 1] by which they are about
    the matrix.
    """
    largest_V1 = np.abs(matrix_VD).max(axis=1, keepdims=True)
    scale_V1 = np.where(largest_V1 > 0, largest_V1 / most, 1.0).astype(np.float32)
    return np.rint(matrix_VD / scale_V1).astype(np.int8), scale_V1


def _lookup(node: NodeProto, name: str) -> list[NodeProto]:
    """What gives a token's row in float32: its whole numbers times its scale."""
    from onnx import TensorProto, helper

    ids, (out,) = node.input[1], node.output
    return [
        helper.make_node(
            "Gather", [f"{name}_quantized", ids], [f"{out}_quantized"], f"{node.name}_quantized"
        ),
        helper.make_node("Gather", [f"{name}_scale", ids], [f"{out}_scale"], f"{node.name}_scale"),
        helper.make_node(
            "Cast", [f"{out}_quantized"], [f"{out}_cast"], f"{node.name}_cast", to=TensorProto.FLOAT
        ),
        helper.make_node("Mul", [f"{out}_cast", f"{out}_scale"], [out], f"{node.name}_scaled"),
    ]


def _product(node: NodeProto, name: str) -> list[NodeProto]:
    """The product of states with the transposed matrix, in the steps that ONNX Runtime makes one
    of.
    """
    from onnx import TensorProto, helper

    states, (out,) = node.input[0], node.output
    states_8 = [f"{states}_head_{part}" for part in ("quantized", "scale", "zero_point")]
    return [
        helper.make_node("DynamicQuantizeLinear", [states], states_8, f"{node.name}_states"),
        helper.make_node(
            "MatMulInteger",
            [states_8[0], f"{name}_columns", states_8[2]],
            [f"{out}_whole"],
            f"{node.name}_quantized",
        ),
        helper.make_node(
            "Cast", [f"{out}_whole"], [f"{out}_cast"], f"{node.name}_cast", to=TensorProto.FLOAT
        ),
        helper.make_node(
            "Transpose",
            [f"{name}_scale"],
            [f"{out}_scale_rows"],
            f"{node.name}_scale_rows",
            perm=[1, 0],
        ),
        helper.make_node(
            "Mul", [states_8[1], f"{out}_scale_rows"], [f"{out}_scale"], f"{node.name}_scale"
        ),
        helper.make_node("Mul", [f"{out}_cast", f"{out}_scale"], [out], f"{node.name}_scaled"),
    ]
