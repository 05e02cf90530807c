"""The student as ONNX Runtime runs it in int8: the file that export hands over, or that of a
fine-tuned encoder, goes in; a model that stands in the other's place comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.models.task_heads import TaskHead, head_of
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.files import batches_of, predicts_pieces, write_faithful_int8, write_runtimes
from distill.onnx.layout import FLOAT32, INT8, LOGITS, SPAN
from distill.onnx.sensitivity import Batch
from distill.recipe import ExportSection
from distill.runtime.hashes import hash_file

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput


def exported_int8(
    student: LoadedModel, sentences: Sequence[str], vectors: SentenceVectors
) -> LoadedModel:
    """The student in int8 as export hands it over, judged by the same sentences: the bytes of
    model_quantized.onnx. Raises ConversionError with the reason why export has no such file.
    """
    with TemporaryDirectory() as place:
        batches = batches_of(student.tokenizer, sentences)
        made = write_runtimes(
            ExportSection(), student, batches, vectors=vectors, folder=Path(place)
        )
        if reason := made.float32_reason or made.int8_reason:
            raise ConversionError(reason)
        model = Int8Encoder(Path(place, INT8), student.model.config, head_of(student.model))
        model.predicts_pieces = predicts_pieces(student)
    return LoadedModel(model=model, tokenizer=student.tokenizer)


def encoder_int8(encoder: PreTrainedModel, batches: Sequence[Batch], pooling: str) -> Int8Encoder:
    """A fine-tuned encoder as export would write it, judged by `batches`; it is moved to the CPU.

    Raises ConversionError if it cannot be said in ONNX, or is not faithful in int8.
    """
    types = getattr(encoder.config, "type_vocab_size", 0) > 1
    with TemporaryDirectory() as place:
        full, small = Path(place, FLOAT32), Path(place, INT8)
        write_onnx(encoder.eval().to("cpu"), full, types=types)
        write_faithful_int8(full, small, batches, SentenceVectors(pooling))
        return Int8Encoder(small, encoder.config)


class Int8Encoder(torch.nn.Module):
    """A file in int8 on the CPU, which answers as the model that it was made from does."""

    def __init__(self, file: Path, config: PretrainedConfig, head: TaskHead | None = None) -> None:
        """Load `file`, of a model with that config and, where it is fine-tuned, that head."""
        super().__init__()
        self.config = config
        self.device = torch.device("cpu")
        self.head = head
        """What a fine-tuned model's own head, which is in the file, answers."""
        self.predicts_pieces = False
        """Whether a language-model head, whose logits `answers` gives, is in the file."""
        self.digest = hash_file(file)
        self._run = OnnxEncoder(file, torch.get_num_threads())

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
        """The logits of its head: batch x labels, or batch x length x labels of tags, x 2 of a
        span's start and end, and x vocabulary of pieces.
        """
        types = None if token_type_ids is None else token_type_ids.numpy()
        names = SPAN if self.head is not None and self.head.task == "answer span" else (LOGITS,)
        logits = self._run.outputs(names, input_ids.numpy(), attention_mask.numpy(), types)
        tensors = [torch.from_numpy(array) for array in logits]
        return tensors[0] if len(tensors) == 1 else torch.stack(tensors, dim=-1)
