"""The files that a model is measured from: subjects in memory go in; folders and ONNX files, with
their sizes, come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.benchmark.settings import RUNTIMES, Entrant
from distill.benchmark.subjects import Subject, size_without_weights
from distill.onnx.conversion import ConversionError, write_onnx
from distill.onnx.layout import FLOAT32, INT8
from distill.onnx.quantisation import write_int8


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
    found: dict[Entrant, Source] = {}
    for entrant in entrants:
        subject = subjects[entrant.subject]
        own = folder / entrant.subject.replace("/", "--")
        if RUNTIMES[entrant.runtime][0] == "torch":
            predicted = subject.folder is None and subject.bytes_on_disk is not None
            found[entrant] = Source(
                path=subject.folder or _written(subject, own),
                bytes_on_disk=subject.bytes_on_disk,
                remark="bytes on disk are those of its parameters in float32"
                if predicted
                else None,
            )
            continue
        try:
            file = _converted(subject, own, int8=entrant.runtime == "onnx_int8")
        except ConversionError as error:
            found[entrant] = Source(path=None, bytes_on_disk=None, reason=str(error))
            continue
        known = subject.parameters is not None
        found[entrant] = Source(
            path=file, bytes_on_disk=_size(file, subject.folder) if known else None
        )
    return found


def _written(subject: Subject, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        subject.model.save_pretrained(folder)
    return folder


def _converted(subject: Subject, folder: Path, *, int8: bool) -> Path:
    whole, small = folder / FLOAT32, folder / INT8
    if not whole.is_file():
        write_onnx(subject.model, whole)
    if int8 and not small.is_file():
        write_int8(whole, small)
    return small if int8 else whole


def _size(file: Path, folder: Path | None) -> int:
    """Bytes of an ONNX file, with what lies beside it under the same name, and of the tokenizer in
    the model's folder.
    """
    weights = sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
    return weights + (size_without_weights(folder) if folder else 0)
