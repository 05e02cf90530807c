"""What a user sees who has an exported folder and the public libraries alone, and no network.

    python verify_export.py FOLDER EXPECTED

loads FOLDER, compares it with what `proof.py` wrote to EXPECTED, and writes a JSON object of what
it found.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

_ROUNDS, _TIMED = 5, 8

Asked = dict[str, Any]
"""What the caller wrote: which auto class, which outputs, which pooling."""
Arrays = Any
"""An array of numpy."""
Run = Callable[[dict[str, Arrays]], dict[str, Arrays]]
"""Runs a file: inputs by name go in; outputs by name come out."""


_POOLED: dict[str, Callable[[Arrays], Arrays]] = {
    "mean": lambda states: states.mean(0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(0),
    "lasttoken": lambda states: states[-1],
    "weightedmean": lambda states: np.average(
        states, axis=0, weights=np.arange(1, len(states) + 1)
    ),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
}
"""A sentence's vector of its tokens' states, before what layers make of it."""


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError("an exported folder must load without network")


@torch.inference_mode()
def _compare(folder: Path, expected_folder: Path) -> dict[str, object]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    asked = json.loads((expected_folder / "asked.json").read_text(encoding="utf-8"))
    expected = load_file(expected_folder / "expected.safetensors")
    torch.set_num_threads(1)  # as `proof.py` does: another number adds up in another order
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    batches = [
        tokenizer(sentence, truncation=True, return_tensors="pt") for sentence in asked["sentences"]
    ]
    inputs = [
        {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        for batch in batches
    ]
    numbers = range(len(inputs))
    same = {
        "tokens": all(torch.equal(inputs[n]["input_ids"], expected[f"ids.{n}"]) for n in numbers)
    }
    if not same["tokens"]:
        return {"same": same}
    states = {n: model(**inputs[n]).last_hidden_state for n in numbers}
    same["hidden states"] = all(torch.equal(states[n], expected[f"states.{n}"]) for n in numbers)
    if "auto" in asked:
        same |= _head_is_the_same(folder, inputs, expected, asked)
    return {"same": same, **_runtimes(folder, inputs, expected, asked)}


def _head_is_the_same(
    folder: Path,
    inputs: list[dict[str, torch.Tensor]],
    expected: dict[str, torch.Tensor],
    asked: Asked,
) -> dict[str, bool]:
    import transformers
    from transformers import pipeline

    head = getattr(transformers, asked["auto"]).from_pretrained(folder, use_safetensors=True).eval()
    _align(head)
    same = {"logits": True}
    for n in range(len(inputs)):
        if f"{asked['head'][0]}.{n}" in expected:
            output = head(**inputs[n])
            same["logits"] &= all(
                torch.equal(output[name], expected[f"{name}.{n}"]) for name in asked["head"]
            )
    if "pipeline" in asked:
        answer = pipeline(asked["pipeline"], model=str(folder), device="cpu")
        _align(answer.model)
        answers = json.loads(json.dumps(answer(asked["sentences"][0]), default=float))
        same["answers"] = answers == asked["answers"]
    if "masked" in asked:
        fill = pipeline("fill-mask", model=str(folder), device="cpu")
        _align(fill.model)
        filled = [[answer["token"], answer["score"]] for answer in fill(asked["masked"])]
        same["fill-mask"] = filled == asked["filled"]
    return same


def _align(model: torch.nn.Module) -> None:
    """Move the weights out of the mapped file: the last bit of a product depends on where in memory
    they lie.
    """
    for weight in model.parameters():
        weight.data = weight.data.clone()


def _runtimes(
    folder: Path,
    inputs: list[dict[str, torch.Tensor]],
    expected: dict[str, torch.Tensor],
    asked: Asked,
) -> dict[str, float | None]:
    """How far the files of each runtime are from torch, and how fast those in int8 are."""
    arrays = [{name: tensor.numpy() for name, tensor in batch.items()} for batch in inputs]
    states = {name: tensor.numpy() for name, tensor in expected.items()}
    onnx = [folder / "onnx" / name for name in ("model.onnx", "model_quantized.onnx")]
    openvino = [
        folder / "openvino" / f"openvino_model{kind}.xml" for kind in ("", "_qint8_quantized")
    ]
    return {
        **_compared(_onnx, onnx, arrays, states, asked, "onnx", ""),
        **_compared(_openvino, openvino, arrays, states, asked, "openvino", "openvino_"),
    }


def _compared(
    load: Callable[[Path], Run],
    files: list[Path],
    inputs: list[dict[str, Arrays]],
    expected: dict[str, Arrays],
    asked: Asked,
    runtime: str,
    prefix: str,
) -> dict[str, float | None]:
    """Of a runtime's files in float32 and int8 those that there are, compared with torch's
    states.
    """
    figures: dict[str, float | None] = {
        f"{runtime}_max_abs_difference": None,
        f"{prefix}int8_cosine": None,
        f"{prefix}int8_centred_cosine": None,
        f"{prefix}int8_neighbours": None,
        f"{prefix}int8_time": None,
    }
    if not files[0].is_file():
        return figures
    full = load(files[0])
    differences = [0.0]
    for number, batch in enumerate(inputs):
        outputs = full(batch)
        for name, key in (
            ("last_hidden_state", f"states.{number}"),
            *((name, f"{name}.{number}") for name in asked.get("head", ())),
        ):
            if name in outputs and key in expected:
                differences.append(float(np.abs(outputs[name] - expected[key]).max()))
    figures[f"{runtime}_max_abs_difference"] = max(differences)
    if not files[1].is_file():
        return figures
    small = load(files[1])
    theirs = _vectors([small(batch)["last_hidden_state"] for batch in inputs], asked["pooling"])
    ours = _vectors(
        [expected[f"states.{number}"] for number in range(len(inputs))], asked["pooling"]
    )
    figures[f"{prefix}int8_cosine"] = _mean_cosine(theirs, ours)
    if len(inputs) > 2:  # of two each is the other's nearest
        figures[f"{prefix}int8_centred_cosine"] = _mean_cosine(
            theirs - theirs.mean(0), ours - ours.mean(0)
        )
        figures[f"{prefix}int8_neighbours"] = float((_nearest(theirs) == _nearest(ours)).mean())
    return figures | {f"{prefix}int8_time": _time_share(small, full, inputs[:_TIMED])}


def _vectors(states: list[Arrays], pooling: str) -> Arrays:
    """Sentence vectors, a row each."""
    return np.stack([_POOLED[pooling](hidden[0]) for hidden in states])


def _unit(vectors: Arrays) -> Arrays:
    """The same directions with length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _mean_cosine(vectors: Arrays, other: Arrays) -> float:
    """The mean over rows of the cosine of two rows."""
    return float((_unit(vectors) * _unit(other)).sum(1).mean())


def _nearest(vectors: Arrays) -> Arrays:
    """For each row the number of the row that is nearest to it by cosine."""
    unit = _unit(vectors)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2.0)
    return np.asarray(likeness.argmax(1))


def _time_share(small: Run, full: Run, inputs: list[dict[str, Arrays]]) -> float:
    """The time of one as a share of the other's: the median of alternating runs."""
    shares = []
    for batch in inputs * _ROUNDS:
        taken = []
        for run in (full, small):
            started = time.perf_counter()
            run(batch)
            taken.append(time.perf_counter() - started)
        shares.append(taken[1] / taken[0])
    return median(shares)


def _onnx(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Waiting threads would otherwise take the cores from whatever else runs here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    typed = "token_type_ids" in {given.name for given in session.get_inputs()}

    def run(inputs: dict[str, Arrays]) -> dict[str, Arrays]:
        types = {"token_type_ids": np.zeros_like(inputs["input_ids"])} if typed else {}
        return dict(zip(names, session.run(None, inputs | types), strict=True))

    return run


def _openvino(file: Path) -> Run:
    import openvino

    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.get_any_name() for output in model.outputs]
    typed = "token_type_ids" in {name for given in model.inputs for name in given.get_names()}
    request = model.create_infer_request()

    def run(inputs: dict[str, Arrays]) -> dict[str, Arrays]:
        types = {"token_type_ids": np.zeros_like(inputs["input_ids"])} if typed else {}
        outputs = request.infer(inputs | types)
        return {name: outputs[name].copy() for name in names}

    return run


if __name__ == "__main__":
    sys.addaudithook(_no_network)
    sys.stdout.write(json.dumps(_compare(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
