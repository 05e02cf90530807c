"""The files that a model is measured from: subjects in memory go in; folders and ONNX files, with
their sizes, come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.benchmark.latency import random_ids
from distill.benchmark.settings import RUNTIMES, Entrant
from distill.benchmark.subjects import Subject, size_without_weights
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.files import write_faithful_int8
from distill.onnx.layout import FLOAT32, INT8
from distill.onnx.quantisation import write_int8
from distill.onnx.sensitivity import Batch
from distill.openvino.conversion import write_openvino, write_openvino_int8
from distill.openvino.layout import FLOAT32 as OPENVINO, INT8 as OPENVINO_INT8

_FILES = {
    "onnx": FLOAT32,
    "onnx_int8": INT8,
    "openvino": OPENVINO,
    "openvino_int8": OPENVINO_INT8,
}
_RANDOM_TEXTS, _RANDOM_TOKENS = 16, 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a model in one runtime is loaded from."""

    path: Path | None
    """A folder, or for ONNX the file; None where there is none."""
    bytes_on_disk: int | None
    reason: str | None = None
    """Why there is none."""
    remark: str | None = None
    """What must be known of its size."""


def write_sources(
    subjects: Mapping[str, Subject], entrants: Iterable[Entrant], folder: Path
) -> dict[Entrant, Source]:
    """What each entrant is loaded from; ONNX files, and random weights, are written below `folder`
    first.
    """
    sources: dict[Entrant, Source] = {}
    for entrant in entrants:
        subject = subjects[entrant.subject]
        target = folder / entrant.subject.replace("/", "--")
        if RUNTIMES[entrant.runtime][0] == "torch":
            predicted = subject.folder is None and subject.bytes_on_disk is not None
            sources[entrant] = Source(
                path=subject.folder or _written(subject, target),
                bytes_on_disk=subject.bytes_on_disk,
                remark="bytes on disk are those of its parameters in float32"
                if predicted
                else None,
            )
            continue
        try:
            file = exported_file(subject, entrant.runtime) or _converted(
                subject, target, entrant.runtime
            )
        except ConversionError as error:
            sources[entrant] = Source(path=None, bytes_on_disk=None, reason=str(error))
            continue
        known = subject.parameters is not None
        sources[entrant] = Source(
            path=file, bytes_on_disk=_size(file, subject.folder) if known else None
        )
    return sources


def _written(subject: Subject, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        subject.model.save_pretrained(folder)
    return folder


def exported_file(subject: Subject, runtime: str) -> Path | None:
    """The file for a runtime that an exported folder has itself, but for that of a student with a
    head, which computes the head's results as well.
    """
    file = None if subject.folder is None else subject.folder / _FILES[runtime]
    has_head = subject.model.get_output_embeddings() is not None
    return file if file is not None and file.is_file() and not has_head else None


def _converted(subject: Subject, folder: Path, runtime: str) -> Path:
    exported = folder / FLOAT32
    if not exported.is_file():
        write_onnx(subject.model, exported)
    target = folder / _FILES[runtime]
    if target.is_file():
        return target
    if runtime == "onnx_int8" and subject.judged is not None:
        write_faithful_int8(exported, target, *subject.judged)
    elif runtime == "onnx_int8":
        write_int8(exported, target)
    elif runtime == "openvino":
        write_openvino(exported, target)
    elif runtime == "openvino_int8":
        source = _converted(subject, folder, "openvino")
        write_openvino_int8(source, target, _random_batches(subject))
    return target


def _random_batches(subject: Subject) -> list[Batch]:
    """What ranges of activations are taken from where only time is measured."""
    ids = random_ids(subject.model.config.vocab_size, _RANDOM_TEXTS, _RANDOM_TOKENS)
    return [(row[None], np.ones_like(row[None])) for row in ids]


def _size(file: Path, folder: Path | None) -> int:
    """Bytes of a runtime's file, with what lies beside it under the same name, and of the
    tokenizer in the model's folder.
    """
    name = f"{file.stem}.*" if file.suffix == ".xml" else f"{file.name}*"
    weights = sum(path.stat().st_size for path in file.parent.glob(name))
    return weights + (size_without_weights(folder) if folder else 0)
