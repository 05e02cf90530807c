"""Proof of an exported folder: the run's student computes here, and what a stranger's process loads
is held against it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from distill.models import LoadedModel
from distill.models.loading import auto_class_name
from distill.models.task_heads import head_of
from distill.onnx.closeness import Closeness, shortfall
from distill.onnx.conversion import head_outputs
from distill.onnx.files import has_head, predicts_pieces
from distill.onnx.layout import FLOAT32, INT8
from distill.openvino.layout import FLOAT32 as OPENVINO, INT8 as OPENVINO_INT8
from distill.report.results.export import ExportProof

_TOLERANCE = 1e-4
"""How far ONNX Runtime's sums in float32 may be from torch's."""
_MASKED = 8
"""For how many sentences the head's logits are compared: each is a matrix as wide as the
vocabulary.
"""
ASKED_PIPELINES = {
    "text-classification": "text-classification",
    "text-ranking": "text-classification",
    "token-classification": "token-classification",
}
"""By the Hub's name of a head's task the pipeline of transformers that answers it."""
_RAISED = re.compile(r"[\w.]*(Error|Exception): ")
"""The first line of what an exception says, where advice can follow."""


class ExportError(RuntimeError):
    """What was written is not the student; the text says in what."""


def prove(
    folder: Path, student: LoadedModel, sentences: Sequence[str], *, pooling: str
) -> ExportProof:
    """Load `folder` by stock classes in a fresh process without network, and compare all it has
    with `student`.

    Raises ExportError if tokens, hidden states or the head's results differ in a bit, ONNX Runtime
    in float32 by more than 1e-4, or the int8 file's vectors by more than they may.
    """
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder_of_arrays:
        expected = Path(folder_of_arrays)
        torch.set_num_threads(1)  # as in the other process: another number adds up in another order
        try:
            _write_expected(student, sentences, expected, pooling)
        finally:
            torch.set_num_threads(threads)
        answer = _ask(folder.resolve(), expected)
    for what, same in answer["same"].items():
        if not same:
            raise ExportError(
                f"the exported folder does not give the student's {what}; please report this"
            )
    for runtime, prefix, full, small in (
        ("onnx", "", FLOAT32, INT8),
        ("openvino", "openvino_", OPENVINO, OPENVINO_INT8),
    ):
        difference = answer[f"{runtime}_max_abs_difference"]
        if difference is not None and not difference <= _TOLERANCE:
            raise ExportError(
                f"{full} is up to {difference:.2g} off the student, more than {_TOLERANCE}; "
                f"please report this, and go on without it by --set export.{runtime}=false"
            )
        if answer[f"{prefix}int8_cosine"] is None:
            continue
        measured = Closeness(
            rows=len(sentences),
            cosine=answer[f"{prefix}int8_cosine"],
            centred_cosine=answer[f"{prefix}int8_centred_cosine"],
            neighbours=answer[f"{prefix}int8_neighbours"],
        )
        if reason := shortfall(measured):
            raise ExportError(f"{small} is not faithful: {reason}")
    figures = {field.name for field in fields(ExportProof)} - {"sentences"}
    return ExportProof(sentences=len(sentences), **{name: answer[name] for name in figures})


@torch.inference_mode()
def _write_expected(
    student: LoadedModel, sentences: Sequence[str], target: Path, pooling: str
) -> None:
    """What the student computes, for `stranger.py` to compare."""
    tensors: dict[str, torch.Tensor] = {}
    for number, sentence in enumerate(sentences):
        batch = student.tokenizer(sentence, truncation=True, return_tensors="pt")
        inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        tensors[f"ids.{number}"] = inputs["input_ids"]
        tensors[f"states.{number}"] = student.model.base_model(**inputs).last_hidden_state
        if has_head(student) and number < _MASKED:
            output = student.model(**inputs)
            for name in head_outputs(student.model):
                tensors[f"{name}.{number}"] = output[name]
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        target / "expected.safetensors",
    )
    asked: dict[str, object] = {"sentences": list(sentences), "pooling": pooling}
    if has_head(student):
        asked["auto"] = auto_class_name(type(student.model).__name__)
        asked["head"] = head_outputs(student.model)
    head = head_of(student.model)
    if head is not None and head.pipeline_tag in ASKED_PIPELINES:
        from transformers import pipeline

        answer = pipeline(
            ASKED_PIPELINES[head.pipeline_tag],
            model=student.model,
            tokenizer=student.tokenizer,
            device="cpu",
        )
        asked["pipeline"] = ASKED_PIPELINES[head.pipeline_tag]
        asked["answers"] = _plain(answer(sentences[0]))
    elif predicts_pieces(student) and (mask := student.tokenizer.mask_token):
        from transformers import pipeline

        fill = pipeline("fill-mask", model=student.model, tokenizer=student.tokenizer, device="cpu")
        masked = f"{mask} {sentences[0].split()[0] if sentences[0].split() else ''}".strip()
        asked["masked"] = masked
        asked["filled"] = [[answer["token"], answer["score"]] for answer in fill(masked)]
    (target / "asked.json").write_text(json.dumps(asked), encoding="utf-8")


def _plain(answers: Any) -> Any:
    """A pipeline's answers as JSON has them."""
    return json.loads(json.dumps(answers, default=float))


def _ask(folder: Path, expected: Path) -> Mapping[str, Any]:
    """What the stranger found. Raises ExportError, with its last words, if it could not load the
    folder.
    """
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(expected / "home"),
        "TOKENIZERS_PARALLELISM": "false",
    }
    stranger = Path(__file__).with_name("verify_export.py")
    # -P keeps the folder of the script, with this package's modules, from what it imports.
    command = [sys.executable, "-P", str(stranger), str(folder), str(expected)]
    process = subprocess.run(
        command, cwd=expected, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["it said nothing"]
        words = next((line for line in reversed(lines) if _RAISED.match(line)), lines[-1]).rstrip(
            "."
        )
        raise ExportError(
            f"stock classes cannot load the exported folder ({words}); please report this"
        )
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answer
