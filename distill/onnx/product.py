"""How fast ONNX Runtime multiplies matrices here: a type and a number of threads go in; seconds
come out.
"""

from __future__ import annotations

import time

import numpy as np

_REPEATS, _PATIENCE = 6, 0.5


def product_seconds(side: int, *, int8: bool, threads: int | None) -> float:
    """Best time of one product of two `side` x `side` matrices, in int8 or float32, of the few that
    half a second allows.
    """
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    kind, left = (TensorProto.UINT8, np.uint8) if int8 else (TensorProto.FLOAT, np.float32)
    right = numpy_helper.from_array(
        np.ones((side, side), dtype=np.int8 if int8 else np.float32), "right"
    )
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if int8 else "MatMul", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", kind, [side, side])],
        [
            helper.make_tensor_value_info(
                "product", TensorProto.INT32 if int8 else TensorProto.FLOAT, [side, side]
            )
        ],
        [right],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"left": np.ones((side, side), dtype=left)}
    best, began = float("inf"), time.perf_counter()
    for _ in range(_REPEATS):  # the first one warms up
        if best < float("inf") and time.perf_counter() - began > _PATIENCE:
            break
        started = time.perf_counter()
        session.run(None, inputs)
        best = min(best, time.perf_counter() - started)
    return best
