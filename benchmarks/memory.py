"""How much memory the distillation loop takes, against what it must hold.

    .venv/bin/python benchmarks/memory.py

distils six of the quickstart teacher's layers for some steps in a process of its own, watches its
resident memory (on a GPU, the allocator's), and compares the rise over the idle process with the
sum of weights, gradients, optimiser moments and the activations of one micro-batch, which
autograd's own hooks count. On a CPU once with the C library's allocator as it is, and once told to
give large blocks back to the system at once. Writes benchmarks/results/memory.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from provenance import provenance
from setting import RESULTS, newsreels, trimmed_teacher
from transformers import AutoModel

from distill.distillation.loop import Pair, distil
from distill.distillation.objectives.hidden import hidden_loss
from distill.models import LoadedModel
from distill.models.saving import save_model
from distill.recipe import DistillationSection
from distill.runtime.memory import memory_in_use
from distill.runtime.precision import choose_precision
from distill.runtime.processes import Processes
from distill.runtime.progress import silence_libraries
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from distill.training.blocks import write_blocks
from distill.training.chunks import Chunks, open_chunks

RESULT = RESULTS / "memory.json"
LAYERS = [2, 4, 6, 8, 10, 12]
MAPPED = {
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""What glibc and torch read as a process starts: blocks of a megabyte and more are mapped one by
one, on large pages.
"""


def main() -> None:
    """Prepare, measure each setting in a fresh process, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    silence_libraries()
    texts = newsreels(1500)
    trimmed = trimmed_teacher(texts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(trimmed.model, trimmed.tokenizer, folder / "teacher")
        (folder / "blocks").mkdir()
        write_blocks(texts, trimmed.tokenizer, folder / "blocks", block_tokens=128)
        rows = []
        allocators = ({},) if torch.cuda.is_available() else ({}, MAPPED)
        for batch, micro in ((1024, None), (4096, None), (16384, 4096)):
            for allocator in allocators:
                steps = max(3, options.steps * 1024 // batch)
                with (
                    patch.dict(os.environ, allocator),
                    multiprocessing.get_context("spawn").Pool(1) as pool,
                ):
                    row = pool.apply(measure, (folder, batch, micro, steps))
                rows.append({"allocator": allocator, **row})
                print(rows[-1], flush=True)
    kept = {**provenance(vars(options)), "rows": rows}
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def measure(
    folder: Path, batch_tokens: int, micro_batch_tokens: int | None, steps: int
) -> dict[str, Any]:
    """The loop's memory at one setting, in bytes, beside what it must hold."""
    from transformers import AutoTokenizer

    device = Processes(alone=True).device
    chunks, tokenizer = (
        open_chunks(folder / "blocks"),
        AutoTokenizer.from_pretrained(folder / "teacher"),
    )
    precision = choose_precision("auto", device)
    warm_up(device, precision)
    idle = memory_in_use(device)
    student = keep_layers(AutoModel.from_pretrained(folder / "teacher"), LAYERS)
    # In the loop's arithmetic: of another it would keep a copy.
    dtype = getattr(torch, precision)
    teacher = LoadedModel(
        model=AutoModel.from_pretrained(folder / "teacher", dtype=dtype), tokenizer=tokenizer
    )
    section = DistillationSection(
        tokens=steps * batch_tokens,
        batch_tokens=batch_tokens,
        micro_batch_tokens=micro_batch_tokens,
        block_tokens=128,
        validations=0,
        checkpoint_seconds=1e9,
        precision=precision,  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory() as work, Watch(device) as watch:
        state = distil(
            Pair(
                student=student,
                teacher=teacher.model,
                tokenizer=tokenizer,
                layers=LAYERS,
                pooling="mean",
            ),
            chunks,
            Chunks(ids=chunks.ids, offsets=chunks.offsets[:9]),
            section,
            checkpoint=Path(work, "checkpoint"),
            runtime=Runtime(),
        )
    if device.type == "cpu":  # as the loop computes it there
        student.set_attn_implementation("eager")
        teacher.model.set_attn_implementation("eager")
    weights = sum(p.nbytes for p in student.parameters())
    parts = {
        "teacher": sum(p.nbytes for p in teacher.model.parameters()),
        "student": weights,
        "gradients": weights,
        "optimiser": 2 * weights,
        "activations": activations(
            student, teacher.model, chunks, micro_batch_tokens or batch_tokens, precision, device
        ),
    }
    must = sum(parts.values())
    taken = watch.highest - idle
    return {
        "batch_tokens": batch_tokens,
        "micro_batch_tokens": micro_batch_tokens,
        "precision": precision,
        "tokens_per_second": round(state.tokens / state.seconds, 1),
        "taken_bytes": taken,
        "must_bytes": must,
        "times": round(taken / must, 3),
        "parts": parts,
    }


def activations(
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    chunks: Chunks,
    tokens: int,
    precision: str,
    device: torch.device,
) -> int:
    """Bytes that autograd keeps for the backward pass of one micro-batch, each storage once,
    weights apart.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in student.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    length = int(chunks.lengths.max())
    ids = (
        torch.from_numpy(chunks.ids[: tokens // length * length].astype("int64"))
        .view(-1, length)
        .to(device)
    )
    mask = torch.ones_like(ids)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        with torch.no_grad():
            target = teacher(ids, mask, output_hidden_states=True).hidden_states
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            states = student(ids, mask, output_hidden_states=True).hidden_states
            loss = hidden_loss(states[1:], [target[layer] for layer in LAYERS], mask)
    assert loss.requires_grad
    return sum(kept.values()) + sum(target[layer].nbytes for layer in LAYERS)


def warm_up(device: torch.device, precision: str) -> None:
    """Load what every torch process loads, so that it counts as idle."""
    side = torch.randn(256, 256, device=device, dtype=getattr(torch, precision), requires_grad=True)
    (side @ side).sum().backward()


class Watch:
    """The highest memory in use while it is open."""

    def __init__(self, device: torch.device) -> None:
        """Of this process, on `device`."""
        self.device, self.highest, self.done = device, 0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        """Start looking."""
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.done.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.done.is_set():
            self.highest = max(self.highest, memory_in_use(self.device))
            time.sleep(0.005)


if __name__ == "__main__":
    main()
