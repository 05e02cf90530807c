"""Which matrix products suffer most in int8: a float32 file and inputs go in; the products' names,
worst first, come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.onnx.layout import INPUTS, TYPES

_MOST_STATE, _MOST_WEIGHT = 255, 64
"""The steps of what is multiplied, which have no sign, and the largest weight (see
`write_int8`).
"""

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Ids and mask, batch x length."""


def worst_products(source: Path, batches: Sequence[Batch]) -> list[str]:
    """The names of the products with a matrix of weights, by the error of quantising one alone, the
    largest first.

    The error is that of the product's result as a share of the result, over all batches.
    """
    import onnx
    import onnxruntime

    model = onnx.load(source, load_external_data=False)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    products = [
        node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in stored
    ]
    inputs = list(dict.fromkeys(node.input[0] for node in products))
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in inputs if name not in outputs
    )
    runs: list[list[npt.NDArray[np.float32]]] = []
    probe = source.with_name(
        f".{source.name}.probe"
    )  # beside it, where it finds weights that are outside of the file
    try:
        onnx.save(model, probe)
        session = onnxruntime.InferenceSession(probe, providers=["CPUExecutionProvider"])
        typed = TYPES in {given.name for given in session.get_inputs()}
        for ids, mask in batches:
            types = {TYPES: np.zeros_like(ids)} if typed else {}
            runs.append(session.run(inputs, dict(zip(INPUTS, (ids, mask), strict=True)) | types))
    finally:
        probe.unlink(missing_ok=True)
    states = [dict(zip(inputs, run, strict=True)) for run in runs]

    def error(node: onnx.NodeProto) -> float:
        weights = onnx.numpy_helper.to_array(stored[node.input[1]], base_dir=str(source.parent))
        coarse = _rounded(weights, np.abs(weights).max(axis=0) / _MOST_WEIGHT)
        wrong = total = 0.0
        for named in states:
            given = named[node.input[0]]
            exact = given @ weights
            step = (max(given.max(), 0.0) - min(given.min(), 0.0)) / _MOST_STATE
            wrong += float(np.square(_rounded(given, step) @ coarse - exact).sum())
            total += float(np.square(exact).sum())
        return wrong / total if total else 0.0

    errors = {node.name: error(node) for node in products}
    return sorted(errors, key=lambda name: -errors[name])


def _rounded(
    values: npt.NDArray[np.float32], step: npt.NDArray[np.float32] | np.float32 | float
) -> npt.NDArray[np.float32]:
    """The values in whole steps."""
    safe = np.where(np.asarray(step) > 0, step, 1.0)
    return np.asarray(np.rint(values / safe) * safe, dtype=np.float32)
