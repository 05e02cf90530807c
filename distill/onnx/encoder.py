"""Running an ONNX encoder: token ids go in; hidden states come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from distill.onnx.layout import INPUTS, OUTPUT, TYPES


class OnnxEncoder:
    """An encoder's ONNX file, ready to run on the CPU."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load `path`, to run on so many threads, or on as many as the machine has cores."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads would otherwise burn the cores that whoever runs next in this process
        # wants.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        # Whoever wants hidden states need not wait for logits of every piece of the vocabulary.
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        self._typed = TYPES in {given.name for given in self._session.get_inputs()}

    def __call__(
        self,
        input_ids: npt.NDArray[np.int64],
        attention_mask: npt.NDArray[np.int64],
        token_type_ids: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.float32]:
        """The last hidden states, batch x length x width, of ids and mask, batch x length; types
        are 0 unless given.
        """
        return self.outputs((OUTPUT,), input_ids, attention_mask, token_type_ids)[0]

    def outputs(
        self,
        names: Sequence[str],
        input_ids: npt.NDArray[np.int64],
        attention_mask: npt.NDArray[np.int64],
        token_type_ids: npt.NDArray[np.int64] | None = None,
    ) -> list[npt.NDArray[np.float32]]:
        """The outputs of these names, such as a head's logits."""
        inputs = dict(zip(INPUTS, (input_ids, attention_mask), strict=True))
        if self._typed:
            inputs[TYPES] = np.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        arrays: list[npt.NDArray[np.float32]] = self._session.run(
            list(names), inputs, self._options
        )
        return arrays
