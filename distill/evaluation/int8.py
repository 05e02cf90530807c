"""The encoder as ONNX Runtime runs it in int8: a fine-tuned encoder goes in; one that stands in its
place comes out.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from distill.models.task_heads import TaskHead, head_of
from distill.onnx.conversion import write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import LOGITS
from distill.onnx.quantisation import write_int8

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput


class Int8Encoder(torch.nn.Module):
    """An encoder in int8 on the CPU, which answers as the one that it was made from does."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        """Convert and quantise `encoder`, and move it to the CPU. Raises ConversionError if it
        cannot be said in ONNX.
        """
        super().__init__()
        self.config: PretrainedConfig = encoder.config
        self.device = torch.device("cpu")
        self.head: TaskHead | None = head_of(encoder)
        """What a fine-tuned model's own head, which is converted with it, answers."""
        types = getattr(encoder.config, "type_vocab_size", 0) > 1
        with TemporaryDirectory() as folder:
            whole, small = Path(folder, "model.onnx"), Path(folder, "model_quantized.onnx")
            headed = self.head is not None
            write_onnx(encoder.eval().to(self.device), whole, types=types, head=headed)
            write_int8(whole, small)
            self._run = OnnxEncoder(small)

    @property
    def base_model(self) -> Int8Encoder:
        """Itself: its head, if it has one, answers by `answers` alone."""
        return self

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> BaseModelOutput:
        """The last hidden states, batch x length x width, in float32."""
        from transformers.modeling_outputs import BaseModelOutput

        types = None if token_type_ids is None else token_type_ids.numpy()
        hidden = self._run(input_ids.numpy(), attention_mask.numpy(), types)
        return BaseModelOutput(last_hidden_state=torch.from_numpy(hidden))

    def answers(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The logits of its head, batch x labels, or of tags batch x length x labels."""
        types = None if token_type_ids is None else token_type_ids.numpy()
        (logits,) = self._run.outputs((LOGITS,), input_ids.numpy(), attention_mask.numpy(), types)
        return torch.from_numpy(logits)
