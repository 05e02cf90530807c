"""The student for OpenVINO: its ONNX file goes in; files in float32 and int8 come out, or why there
are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.onnx.closeness import closeness, shortfall
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.files import has_head, has_types, pooled_vectors
from distill.onnx.layout import FLOAT32 as ONNX
from distill.onnx.sensitivity import Batch
from distill.openvino.conversion import write_openvino, write_openvino_int8
from distill.openvino.encoder import OpenvinoEncoder
from distill.openvino.layout import FLOAT32, INT8
from distill.recipe import ExportSection


def write_openvino_files(
    section: ExportSection,
    student: LoadedModel,
    batches: Sequence[Batch],
    *,
    vectors: SentenceVectors,
    folder: Path,
) -> str | None:
    """Write the student's files for OpenVINO, where the recipe asks for them, the one in int8
    calibrated and judged on `batches`; why there is none in int8, if there is none.

    An architecture that ONNX cannot say, and an int8 file that is not faithful, cost the files, not
    the export.
    """
    if not section.openvino:
        return "openvino was not asked for"
    full, small = folder / FLOAT32, folder / INT8
    with TemporaryDirectory() as temporary:
        source = folder / ONNX
        try:
            if not source.is_file():
                source = Path(temporary) / "model.onnx"
                write_onnx(
                    student.model,
                    source,
                    types=has_types(student),
                    head=has_head(student),
                    vectors=vectors if vectors.is_elaborate else None,
                )
        except ConversionError as error:
            return str(error)
        write_openvino(source, full)
    if not section.int8:
        return "int8 was not asked for"
    write_openvino_int8(full, small, batches)
    compared = (pooled_vectors(OpenvinoEncoder(file), batches, vectors) for file in (small, full))
    reason = shortfall(closeness(*compared))
    if reason is None:
        return None
    for file in (small, small.with_suffix(".bin")):
        file.unlink()
    return reason
