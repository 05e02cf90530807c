"""From float32 to int8: an ONNX file goes in; one of about a quarter of its size comes out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from distill.onnx.layout import BESIDE, ONE_FILE_BYTES


def write_int8(source: Path, target: Path, *, unquantised: Iterable[str] = ()) -> None:
    """Quantise the weights of `source` to int8, each output channel by its own scale, and write
    them to `target`.

    Activations are quantised as they come (dynamic quantisation). Embeddings are quantised too,
    since they are most of a small model. The matrix products named in `whole` stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from distill.onnx.embedding import quantise_embedding

    target.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load(source)
    done = quantise_embedding(model)
    large = model.ByteSize() > 2 * ONE_FILE_BYTES  # what is left of it is less than half of that
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that the exporter has done
    try:
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],
            nodes_to_exclude=[*done, *unquantised],
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Processors without VNNI add up pairs of products in 16 bits, where 8-bit weights
            # overflow.
            reduce_range=True,
            use_external_data_format=large,
        )
    finally:
        root.setLevel(level)
    if large:
        _name_data(target)


def _name_data(target: Path) -> None:
    """Give the file beside `target` the name that those who load it look for."""
    import onnx

    model = onnx.load(target)
    for file in target.parent.glob(f"{target.name}?*"):
        file.unlink()
    onnx.save_model(model, target, save_as_external_data=True, location=f"{target.name}{BESIDE}")
