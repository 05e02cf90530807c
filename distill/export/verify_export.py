"""What a user sees who has an exported folder and the public libraries alone, and no network.

    python verify_export.py FOLDER EXPECTED

loads FOLDER, compares it with what `proof.py` wrote to EXPECTED, and writes a JSON object of what
it found.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

_ROUNDS = 5


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError("an exported folder must load without network")


@torch.inference_mode()
def _compare(folder: Path, place: Path) -> dict[str, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    asked = json.loads((place / "asked.json").read_text(encoding="utf-8"))
    expected = load_file(place / "expected.safetensors")
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
        return {
            "same": same,
            "onnx_max_abs_difference": None,
            "int8_cosine": None,
            "int8_time": None,
        }
    states = {n: model(**inputs[n]).last_hidden_state for n in numbers}
    same["hidden states"] = all(torch.equal(states[n], expected[f"states.{n}"]) for n in numbers)
    if "auto" in asked:
        same |= _head_is_the_same(folder, inputs, expected, asked)
    return {"same": same, **_runtimes(folder, inputs, expected, asked)}


def _head_is_the_same(
    folder: Path,
    inputs: list[dict[str, torch.Tensor]],
    expected: dict[str, torch.Tensor],
    asked: dict[str, Any],
) -> dict[str, bool]:
    import transformers
    from transformers import pipeline

    head = getattr(transformers, asked["auto"]).from_pretrained(folder, use_safetensors=True).eval()
    same = {"logits": True}
    for n in range(len(inputs)):
        if f"{asked['head'][0]}.{n}" in expected:
            output = head(**inputs[n])
            same["logits"] &= all(
                torch.equal(output[name], expected[f"{name}.{n}"]) for name in asked["head"]
            )
    if "pipeline" in asked:
        answer = pipeline(asked["pipeline"], model=str(folder), device="cpu")
        found = json.loads(json.dumps(answer(asked["sentences"][0]), default=float))
        same["answers"] = found == asked["answers"]
    if "masked" in asked:
        filled = pipeline("fill-mask", model=str(folder), device="cpu")(asked["masked"])
        same["fill-mask"] = [[answer["token"], answer["score"]] for answer in filled] == asked[
            "filled"
        ]
    return same


def _runtimes(
    folder: Path,
    inputs: list[dict[str, torch.Tensor]],
    expected: dict[str, torch.Tensor],
    asked: dict[str, Any],
) -> dict[str, float | None]:
    """How far ONNX Runtime is from torch, and how fast the int8 file is, where there are files."""
    files = {name: folder / "onnx" / name for name in ("model.onnx", "model_int8.onnx")}
    found: dict[str, float | None] = {
        "onnx_max_abs_difference": None,
        "int8_cosine": None,
        "int8_time": None,
    }
    if not files["model.onnx"].is_file():
        return found
    whole = _session(files["model.onnx"])
    arrays = [{name: tensor.numpy() for name, tensor in one.items()} for one in inputs]
    if "token_type_ids" in {given.name for given in whole.get_inputs()}:
        arrays = [one | {"token_type_ids": np.zeros_like(one["input_ids"])} for one in arrays]
    differences = [0.0]
    for number, one in enumerate(arrays):
        outputs = dict(
            zip((output.name for output in whole.get_outputs()), whole.run(None, one), strict=True)
        )
        for name, key in (
            ("last_hidden_state", f"states.{number}"),
            *((name, f"{name}.{number}") for name in asked.get("head", ())),
        ):
            if name in outputs and key in expected:
                differences.append(float(np.abs(outputs[name] - expected[key].numpy()).max()))
    found["onnx_max_abs_difference"] = max(differences)
    if not files["model_int8.onnx"].is_file():
        return found

    small = _session(files["model_int8.onnx"])
    cosines, times = [], []
    for number, one in enumerate(arrays):
        vectors = [
            hidden[0, 0] if asked["pooling"] == "cls" else hidden[0].mean(0)
            for hidden in (
                small.run(["last_hidden_state"], one)[0],
                expected[f"states.{number}"].numpy(),
            )
        ]
        cosines.append(
            float(vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1]))
        )
    for one in arrays[:8] * _ROUNDS:
        taken = []
        for session in (whole, small):
            started = time.perf_counter()
            session.run(["last_hidden_state"], one)
            taken.append(time.perf_counter() - started)
        times.append(taken[1] / taken[0])
    return found | {"int8_cosine": float(np.mean(cosines)), "int8_time": median(times)}


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Waiting threads would otherwise take the cores from whatever else runs here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    sys.addaudithook(_no_network)
    sys.stdout.write(json.dumps(_compare(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
