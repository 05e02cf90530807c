"""From PyTorch to ONNX: an encoder in memory goes in; a file whose batch and length are free comes
out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir
import torch

from distill.models.loading import position_limit
from distill.models.task_heads import head_of
from distill.onnx.layout import (
    BESIDE,
    INPUTS,
    LOGITS,
    ONE_FILE_BYTES,
    OUTPUT,
    SPAN,
    TYPES,
    VECTORS,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.models.after_pooling import SentenceVectors


class ConversionError(Exception):
    """The model's computation cannot be said in ONNX; the text says why."""


class _Encoder(torch.nn.Module):
    """The encoder with the inputs and the outputs that the file has: hidden states, and vectors
    where these are asked for.
    """

    def __init__(self, model: PreTrainedModel, vectors: SentenceVectors | None) -> None:
        super().__init__()
        self.encoder, self.vectors = model.base_model, vectors

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        hidden: torch.Tensor = self.encoder(
            **dict(zip((*INPUTS, TYPES), inputs, strict=False))
        ).last_hidden_state
        return hidden if self.vectors is None else (hidden, self.vectors(hidden, inputs[1]))


class _HeadedModel(torch.nn.Module):
    """The encoder with its head: logits, the hidden states that they were made from, and vectors
    where these are asked for.
    """

    def __init__(self, model: PreTrainedModel, vectors: SentenceVectors | None) -> None:
        super().__init__()
        self.model, self.vectors = model, vectors

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        states: list[torch.Tensor] = []
        # What the encoder returns is what a file without head has, whatever the head's output says
        # of hidden states.
        hook = self.model.base_model.register_forward_hook(
            lambda module, given, output: states.append(output[0])
        )
        try:
            output = self.model(**dict(zip((*INPUTS, TYPES), inputs, strict=False)))
        finally:
            hook.remove()
        named = [output[name] for name in head_outputs(self.model)]
        vectors = [] if self.vectors is None else [self.vectors(states[0], inputs[1])]
        return (*named, states[0], *vectors)


def head_outputs(model: PreTrainedModel) -> tuple[str, ...]:
    """The names of what a model's head gives, as transformers has them."""
    head = head_of(model)
    return SPAN if head is not None and head.task == "answer span" else (LOGITS,)


def write_onnx(
    model: PreTrainedModel,
    path: Path,
    *,
    types: bool = False,
    head: bool = False,
    vectors: SentenceVectors | None = None,
    attention: str = "eager",
) -> None:
    """Write the model to `path`: input_ids and attention_mask (batch x length, int64) to
    last_hidden_state.

    With `types`, token_type_ids go in as well. A head over the encoder is left out; with `head` its
    logits (of a span, those of start and end) come out first; `vectors` are what a text's
    vector, sentence_embedding, is made by, which then comes out last. Weights of more than
    ONE_FILE_BYTES go into a file beside.

    `attention` is how the model attends while it is converted: as plain products. What torch's
    fused attention ("sdpa") becomes looks for NaN in each layer, which takes time and keeps
    runtimes from fusing the layer themselves. Raises ConversionError if the architecture cannot be
    converted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = (_HeadedModel if head else _Encoder)(model, vectors).eval()
    logits = head_outputs(model) if head else ()
    outputs = [*logits, OUTPUT, *([VECTORS] if vectors else [])]
    # More than one sequence, with padding: what is traced from one alone, or without, is fixed to
    # that.
    ids = torch.full((2, 8), min(5, model.config.vocab_size - 1), dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    inputs = (ids, mask, torch.zeros_like(ids)) if types else (ids, mask)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=position_limit(model))}
    weights = sum(parameter.nbytes for parameter in encoder.parameters())
    with _quietly(), _attending(model, attention):
        try:
            program = torch.onnx.export(
                encoder,
                inputs,
                input_names=[*INPUTS, TYPES][: len(inputs)],
                output_names=outputs,
                dynamic_shapes=(tuple(axes for _ in inputs),),
                dynamo=True,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
            first = next(
                (line for line in str(error).splitlines() if line.strip()), type(error).__name__
            )
            raise ConversionError(
                f"{type(model).__name__} cannot be converted to ONNX: {first.replace('; ', ', ')}"
            ) from error
    assert program is not None, "the exporter returns a program where it is given no file"
    _forget_origin(program)
    onnx_ir.save(
        program.model,
        path,
        external_data=f"{path.name}{BESIDE}" if weights > ONE_FILE_BYTES else None,
    )


@contextmanager
def _attending(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """The model with another implementation of attention, where its architecture has it."""
    before = model.config._attn_implementation
    try:
        with suppress(ValueError):
            model.set_attn_implementation(attention)
        yield
    finally:
        model.set_attn_implementation(before)


def _forget_origin(program: torch.onnx.ONNXProgram) -> None:
    """Take out which lines of which files of this machine each node came from."""
    program.model.metadata_props.clear()
    program.model.graph.metadata_props.clear()
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter's advice to its own developers kept from the user."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
