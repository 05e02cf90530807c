"""The student for ONNX Runtime: a model in memory goes in; files in float32 and int8 come out, or
why there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from distill.models import LoadedModel
from distill.models.after_pooling import AfterPooling, SentenceVectors
from distill.models.task_heads import head_of
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import FLOAT32, INT8, TYPES
from distill.onnx.quantisation import write_int8
from distill.onnx.sensitivity import Batch, worst_products
from distill.openvino.encoder import OpenvinoEncoder
from distill.recipe import ExportSection
from distill.report.results.export import Runtimes

LEAST_COSINE = 0.99
"""The mean cosine of an int8 student's sentence vectors to its own in float32, below which it is
not handed over.
"""
_PROBED = 8
"""Of how many sentences the products are looked at one by one."""


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


def write_runtimes(
    section: ExportSection,
    student: LoadedModel,
    batches: Sequence[Batch],
    *,
    pooling: str,
    after: AfterPooling | None = None,
    folder: Path,
) -> Runtimes:
    """Write the student's ONNX files that the recipe asks for; `batches` are what the int8 file is
    judged by, by the vectors that `pooling` and what is `after` it make.

    Where that is more than a mean or the first token's state, the files give the vectors, too.

    An architecture that ONNX cannot say, and an int8 file that is not faithful, cost the files, not
    the export.
    """
    if not section.onnx:
        return Runtimes(
            float32_reason="onnx was not asked for", int8_reason="onnx was not asked for"
        )
    whole, small = folder / FLOAT32, folder / INT8
    vectors = SentenceVectors(pooling, after)
    try:
        write_onnx(
            student.model,
            whole,
            types=has_types(student),
            head=has_head(student),
            vectors=vectors if vectors.is_elaborate else None,
        )
    except ConversionError as error:
        return Runtimes(float32_reason=str(error), int8_reason=str(error))
    if not section.int8:
        return Runtimes(int8_reason="int8 was not asked for")
    wanted = pooled_vectors(OnnxEncoder(whole), batches, vectors)
    write_int8(whole, small)
    cosine = mean_cosine(pooled_vectors(OnnxEncoder(small), batches, vectors), wanted)
    worst = worst_products(whole, batches[:_PROBED]) if cosine < LEAST_COSINE else []
    for count in _doubling(len(worst)):
        write_int8(whole, small, whole=worst[:count])
        cosine = mean_cosine(pooled_vectors(OnnxEncoder(small), batches, vectors), wanted)
        if cosine >= LEAST_COSINE:
            return Runtimes(left_whole=count)
    if cosine >= LEAST_COSINE:
        return Runtimes()
    for file in small.parent.glob(f"{small.name}*"):
        file.unlink()
    reason = (
        f"in int8 the mean cosine of its vectors to those in float32 is {cosine:.3f}, less "
        f"than {LEAST_COSINE}"
    )
    return Runtimes(int8_reason=reason)


def pooled_vectors(
    encoder: OnnxEncoder | OpenvinoEncoder, batches: Sequence[Batch], vectors: SentenceVectors
) -> npt.NDArray[np.float32]:
    """The sentence vectors of an encoder's file, a row for each sentence of the batches."""
    found = [
        vectors(torch.from_numpy(encoder(ids, mask)), torch.from_numpy(mask)).numpy()
        for ids, mask in batches
    ]
    return np.concatenate(found)


def mean_cosine(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """The mean over rows of the cosine of two rows."""
    products = (one * other).sum(1)
    return float((products / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))).mean())


def _doubling(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), *([most] if most else [])]
