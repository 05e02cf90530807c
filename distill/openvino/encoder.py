"""Running OpenVINO's file of an encoder: token ids go in; hidden states come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.onnx.layout import INPUTS, OUTPUT, TYPES


class OpenvinoEncoder:
    """An encoder's file, ready to run on the CPU; called as an `OnnxEncoder` is."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load `path`, to run on so many threads, or on as many as the machine has cores."""
        import openvino

        settings: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            # It would compute in bfloat16 where the processor has it, whatever the file says.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        model = openvino.Core().compile_model(path, "CPU", settings)
        self._typed = TYPES in {name for given in model.inputs for name in given.get_names()}
        self._request = model.create_infer_request()

    def __call__(
        self,
        input_ids: npt.NDArray[np.int64],
        attention_mask: npt.NDArray[np.int64],
        token_type_ids: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.float32]:
        """The last hidden states, batch x length x width, of ids and mask, batch x length; types
        are 0 unless given.
        """
        inputs = dict(zip(INPUTS, (input_ids, attention_mask), strict=True))
        if self._typed:
            inputs[TYPES] = np.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        hidden: npt.NDArray[np.float32] = self._request.infer(inputs)[OUTPUT].copy()
        return hidden
