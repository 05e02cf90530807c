"""From float32 to int8: an ONNX file goes in; one of about a quarter of its size comes out."""

from __future__ import annotations

import logging
from pathlib import Path


def write_int8(source: Path, target: Path) -> None:
    """Quantise the weights of `source` to int8, each output channel by its own scale, and write them to `target`.

    Activations are quantised as they come (dynamic quantisation). Embeddings are quantised too, since they are most of a
    small model.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target.parent.mkdir(parents=True, exist_ok=True)
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that the exporter has done
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # processors without VNNI add up pairs of products in 16 bits, where 8-bit weights overflow
        )
    finally:
        root.setLevel(level)
