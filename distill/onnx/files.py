"""The student for ONNX Runtime: a model in memory goes in; files in float32 and int8 come out, or
why there are none.

Export hands them over; evaluation and benchmark measure what this writes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.models.task_heads import head_of
from distill.onnx.closeness import closeness, shortfall
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import FLOAT32, INT8, TYPES
from distill.onnx.quantisation import write_int8
from distill.onnx.sensitivity import Batch, worst_products
from distill.recipe import ExportSection
from distill.report.results.export import Runtimes

_PROBED = 8
"""Of how many sentences the products are looked at one by one."""
Encode = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]]
"""Ids and mask to hidden states, as a runtime does it."""


class UnfaithfulError(ConversionError):
    """An int8 file was not kept, because its vectors are too far off; the text says how far."""


def predicts_pieces(student: LoadedModel) -> bool:
    """Whether the student predicts masked tokens."""
    return student.model.get_output_embeddings() is not None


def has_head(student: LoadedModel) -> bool:
    """Whether the student predicts masked tokens, or has a fine-tuned teacher's head."""
    return predicts_pieces(student) or head_of(student.model) is not None


def has_types(student: LoadedModel) -> bool:
    """Whether it reads which text of a pair a token is of."""
    return (
        TYPES in student.tokenizer.model_input_names
        and getattr(student.model.config, "type_vocab_size", 0) > 1
    )


def batches_of(tokenizer: Any, sentences: Sequence[str]) -> list[Batch]:
    """Each sentence by itself, as files are judged by them; an empty one where there is none."""

    def batch(sentence: str) -> Batch:
        encoded = tokenizer(sentence, truncation=True, return_tensors="np")
        return encoded["input_ids"].astype(np.int64), encoded["attention_mask"].astype(np.int64)

    return [batch(sentence) for sentence in list(sentences) or [""]]


def write_runtimes(
    section: ExportSection,
    student: LoadedModel,
    batches: Sequence[Batch],
    *,
    vectors: SentenceVectors,
    folder: Path,
) -> Runtimes:
    """Write the student's ONNX files that the recipe asks for; `batches` are what the int8 file is
    judged by, by their `vectors`.

    Where those are more than a mean or the first token's state, the files give the vectors, too.

    An architecture that ONNX cannot say, and an int8 file that is not faithful, cost the files, not
    the export.
    """
    if not section.onnx:
        return Runtimes(
            float32_reason="onnx was not asked for", int8_reason="onnx was not asked for"
        )
    try:
        write_onnx(
            student.model,
            folder / FLOAT32,
            types=has_types(student),
            head=has_head(student),
            vectors=vectors if vectors.is_elaborate else None,
        )
    except ConversionError as error:
        return Runtimes(float32_reason=str(error), int8_reason=str(error))
    if not section.int8:
        return Runtimes(int8_reason="int8 was not asked for")
    try:
        left = write_faithful_int8(folder / FLOAT32, folder / INT8, batches, vectors)
    except UnfaithfulError as error:
        return Runtimes(int8_reason=str(error))
    return Runtimes(left_whole=left)


def write_faithful_int8(
    full: Path, small: Path, batches: Sequence[Batch], vectors: SentenceVectors
) -> int:
    """Quantise the float32 file `full` to `small`; how many matrix products stay in float32,
    because the vectors of `batches` would be too far off without.

    Raises UnfaithfulError, and leaves no file, if they are too far off with all of them.
    """
    wanted = pooled_vectors(OnnxEncoder(full), batches, vectors)

    def lacking(left: Sequence[str] = ()) -> str | None:
        write_int8(full, small, unquantised=left)
        return shortfall(closeness(pooled_vectors(OnnxEncoder(small), batches, vectors), wanted))

    reason = lacking()
    if reason is None:
        return 0
    worst = worst_products(full, batches[:_PROBED])
    for count in _doubling(len(worst)):
        reason = lacking(worst[:count])
        if reason is None:
            return count
    for file in small.parent.glob(f"{small.name}*"):
        file.unlink()
    raise UnfaithfulError(reason)


def pooled_vectors(
    encoder: Encode, batches: Sequence[Batch], vectors: SentenceVectors
) -> npt.NDArray[np.float32]:
    """The sentence vectors of an encoder's file, a row for each sentence of the batches."""
    pooled = [
        vectors(torch.from_numpy(encoder(ids, mask)), torch.from_numpy(mask)).numpy()
        for ids, mask in batches
    ]
    return np.concatenate(pooled)


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), *([most] if most else [])]
