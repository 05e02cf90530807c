"""From ONNX to OpenVINO: a file in float32 goes in; the same for OpenVINO, and one in int8, come
out.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from distill.onnx.layout import INPUTS, TYPES
from distill.onnx.sensitivity import Batch

CALIBRATION_TEXTS = 128
"""How many texts the ranges of activations are taken from, at most."""


def write_openvino(source: Path, target: Path) -> None:
    """Write the ONNX file `source` to `target` (.xml, with its weights beside it as .bin), in
    float32.
    """
    import openvino

    target.parent.mkdir(parents=True, exist_ok=True)
    with _quietly():
        # Not `convert_model`, which tells Google Analytics of it.
        model = openvino.Core().read_model(source)
        openvino.save_model(model, target, compress_to_fp16=False)


def write_openvino_int8(source: Path, target: Path, batches: Sequence[Batch]) -> None:
    """Write OpenVINO's file `source` to `target` in int8: weights by channel, and activations
    within the ranges that they have on `batches` (NNCF's post-training quantisation of
    transformers).
    """
    os.environ.setdefault("NNCF_CI", "1")  # or NNCF tells Google Analytics of it
    with _quietly():
        import nncf
        import openvino

        model = openvino.Core().read_model(source)
        typed = TYPES in {name for given in model.inputs for name in given.get_names()}
        calibration = [
            dict(zip(INPUTS, (ids, mask), strict=True))
            | ({TYPES: np.zeros_like(ids)} if typed else {})
            for ids, mask in batches[:CALIBRATION_TEXTS]
        ]
        quantised = nncf.quantize(
            model,
            nncf.Dataset(calibration),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(calibration),
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(quantised, target, compress_to_fp16=False)


@contextmanager
def _quietly() -> Iterator[None]:
    """What NNCF draws and logs kept from the user."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
