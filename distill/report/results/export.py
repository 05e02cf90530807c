"""What export returns: files, runtimes and what a fresh process verified."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportProof:
    """What a fresh process found."""

    sentences: int
    onnx_max_abs_difference: float | None
    """The largest difference of any hidden state or logit of ONNX Runtime in float32 to torch's."""
    int8_cosine: float | None
    """The mean cosine of the int8 file's sentence vectors to torch's, as they are: close to 1 of
    any two sentences where vectors lie in a narrow cone.
    """
    int8_time: float | None
    """The int8 file's time as a share of the float32 one's: the median of alternating runs on
    single sentences.
    """
    int8_neighbours: float | None = None
    """The share of sentences whose nearest one among the others is the same by the int8 file."""
    int8_centred_cosine: float | None = None
    """The mean cosine of the vectors with the mean of all sentences taken out, which is what tells
    them apart; None of fewer than three sentences.
    """
    openvino_max_abs_difference: float | None = None
    """The same of OpenVINO's files."""
    openvino_int8_cosine: float | None = None
    openvino_int8_time: float | None = None
    """As a share of the time of OpenVINO's float32 file."""
    openvino_int8_neighbours: float | None = None
    openvino_int8_centred_cosine: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtimes:
    """What was written for ONNX Runtime."""

    float32_reason: str | None = None
    """Why there is no file in float32, and so none in int8."""
    int8_reason: str | None = None
    """Why there is no file in int8."""
    openvino_int8_reason: str | None = None
    """Why there is none in int8 for OpenVINO."""
    left_whole: int = 0
    """How many matrix products of the int8 file stay in float32, because it would not be faithful
    without.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportResult:
    """What was handed over."""

    path: str
    """The folder, relative to where the run was started."""
    files: list[str]
    """Every file in it, with the folder's own name left out."""
    licence: str | None
    runtimes: Runtimes
    proof: ExportProof
    pushed_to: str | None
    reason: str | None
    """Why it was not pushed."""
    warnings: list[str]
