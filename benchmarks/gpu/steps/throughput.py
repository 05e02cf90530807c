"""Tokens per second of the distillation loop by model, attention kernel, batch and compilation, as
shares of the card's own bfloat16 products, and its memory against what must be held.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.gpu.bundle import Bundle
from benchmarks.gpu.steps import Keep, Setting, log_every_step
from benchmarks.gpu.steps.latency import XLM_R_BASE
from distill.benchmark.floor import product_rate
from distill.distillation.loop import Pair, distil
from distill.models.operations import training_operations
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime
from distill.student.depth import choose_layers, keep_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STEPS, WARM_UP = 60, 20
"""Steps of a turn, and how many of them warm up."""
BLOCK_TOKENS = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One setting of the loop."""

    model: str
    """`e5-small`, or `XLM-R base`: its shape, with random weights."""
    text: str = "packed"
    """`packed` in blocks without padding, or `chunks` of 8 to 64 words, padded in their batch."""
    kernel: str = "sdpa"
    """Which attention: `sdpa` (torch picks flash where it can), or `eager`."""
    compiled: bool = False
    segments: bool = False
    """Whether torch's allocator grows its segments, which serves batches of many shapes."""
    batch_tokens: int = 16_384


TURNS = (
    Turn(model="XLM-R base"),
    Turn(model="e5-small"),
    Turn(model="e5-small", text="chunks"),
    Turn(model="XLM-R base", batch_tokens=65_536),
    Turn(model="e5-small", batch_tokens=65_536),
    Turn(model="XLM-R base", text="chunks"),
    Turn(model="e5-small", batch_tokens=4096),
    Turn(model="XLM-R base", kernel="eager"),
    Turn(model="e5-small", kernel="eager"),
)
COMPILED = (
    Turn(model="XLM-R base", compiled=True, batch_tokens=65_536),
    Turn(model="e5-small", text="chunks", segments=True),
    Turn(model="e5-small", compiled=True, batch_tokens=65_536),
)
"""By themselves: compilation takes longest."""
REHEARSED = (Turn(model="e5-small", batch_tokens=512), Turn(model="e5-small", text="chunks"))


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Time the turns; one that fails says why and the next one follows."""
    rate = product_rate("torch", "bfloat16", setting.device, None)
    keep(what="rate", precision="bfloat16", operations_per_second=rate)
    turns = COMPILED if setting.only == "compiled" else TURNS
    for turn in REHEARSED if setting.rehearsal else turns:
        try:
            figures = measure(bundle, turn, setting, rate)
        except Exception as error:  # a card that lacks a kernel must not cost the other turns
            figures = {"failed": f"{type(error).__name__}: {error}"[:500]}
        keep(what="throughput", **asdict(turn), **figures)


def measure(bundle: Bundle, turn: Turn, setting: Setting, rate: float) -> dict[str, float]:
    """Tokens per second of one turn after its warm-up, share of the peak, and memory."""
    steps, warm_up = (4, 2) if setting.rehearsal else (STEPS, WARM_UP)
    batch_tokens = min(turn.batch_tokens, 1024) if setting.rehearsal else turn.batch_tokens
    teacher, student, layers = models(bundle, turn.model)
    limit = (steps + 2) * batch_tokens
    chunks = (
        bundle.chunks("train", limit)
        if turn.text == "chunks"
        else bundle.blocks(BLOCK_TOKENS, limit)
    )
    for model in (teacher, student):
        model.set_attn_implementation(turn.kernel)
        if turn.compiled:
            model.compile(dynamic=turn.text == "chunks")
    section = DistillationSection(
        tokens=steps * batch_tokens,
        batch_tokens=batch_tokens,
        validations=0,
        checkpoint_seconds=1e6,
        precision="bfloat16",
    )
    marks: list[tuple[float, float]] = []
    is_gpu = setting.device == "cuda"
    if is_gpu:
        torch.cuda.empty_cache()
        if turn.segments:
            torch.cuda.memory._set_allocator_settings("expandable_segments:True")
        torch.cuda.reset_peak_memory_stats()
        idle = torch.cuda.memory_allocated()
    with log_every_step(), tempfile.TemporaryDirectory() as folder:
        distil(
            Pair(
                student=student,
                # In the loop's arithmetic: of another it would keep a copy.
                teacher=teacher.to(torch.bfloat16),
                tokenizer=bundle.tokenizer,
                layers=layers,
                pooling="mean",
            ),
            chunks,
            bundle.chunks("heldout", 2048),
            section,
            checkpoint=Path(folder) / "checkpoint",
            runtime=Runtime(device_name=setting.device),
            log=lambda figures, step: marks.append((figures["tokens"], time.perf_counter())),
        )
    (tokens_before, began), (tokens, ended) = marks[min(warm_up, len(marks) - 2)], marks[-1]
    speed = (tokens - tokens_before) / (ended - began)
    length = int(chunks.lengths.mean())
    figures = {
        "steps": float(len(marks)),
        "tokens_per_second": speed,
        "share_of_peak": speed * training_operations(student, teacher, length) / rate,
    }
    if is_gpu:
        taken = torch.cuda.max_memory_allocated() - idle
        weights = sum(parameter.nbytes for parameter in student.parameters())
        # Weights, gradients and two moments of each; the rest is activations and what is spare.
        states = 4 * weights + sum(parameter.nbytes for parameter in teacher.parameters())
        figures |= {"memory_bytes": float(taken), "memory_of_states_bytes": float(states)}
    return figures


def models(bundle: Bundle, name: str) -> tuple[PreTrainedModel, PreTrainedModel, list[int]]:
    """Teacher, student and the layers that the student copies."""
    if name == "e5-small":
        teacher = bundle.teacher()
    else:
        from transformers import AutoModel, XLMRobertaConfig

        shape = {**XLM_R_BASE, "vocab_size": bundle.teacher().config.vocab_size}
        teacher = AutoModel.from_config(XLMRobertaConfig(**shape)).eval()
    layers = choose_layers(6, teacher.config.num_hidden_layers)
    return teacher, keep_layers(teacher, layers), layers
