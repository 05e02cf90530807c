"""Whether the GPU computes what the CPU does: ids, hidden states, and the losses of 20 steps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.gpu.bundle import REFERENCE, Bundle
from benchmarks.gpu.steps import Keep, Setting, log_every_step
from distill.distillation.loop import Pair, distil
from distill.recipe import DistillationSection
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STEPS, REHEARSED_STEPS, BATCH_TOKENS = 20, 3, 1024


class EnoughError(Exception):
    """As many losses as are wanted are there."""


def run(bundle: Bundle, keep: Keep, setting: Setting) -> None:
    """Compare ids and states with the reference, then losses by device and precision."""
    with np.load(bundle.folder / REFERENCE) as reference:
        texts, ids = [str(text) for text in reference["texts"]], reference["ids"]
        states, losses = reference["states"], reference["losses"]
    encoded = bundle.encode(texts)
    keep(what="ids", texts=len(texts), equal=bool(np.array_equal(np.concatenate(encoded), ids)))
    teacher = bundle.teacher()
    device = torch.device(setting.device)
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        here = states_of(teacher, encoded, device, dtype)
        keep(what="states", precision=name, relative_error=relative_error(here, states))
    steps = REHEARSED_STEPS if setting.rehearsal else STEPS
    pairs = [("cpu", "float32"), (setting.device, "float32"), (setting.device, "bfloat16")]
    for device_name, precision in dict.fromkeys(pairs):
        here = losses_of(bundle, device_name, precision, steps)
        keep(
            what="losses",
            on=device_name,
            precision=precision,
            losses=[float(loss) for loss in here],
            largest_relative_difference=float(np.abs(here / losses[:steps] - 1).max()),
        )


@torch.inference_mode()
def states_of(
    teacher: PreTrainedModel,
    encoded: Sequence[Sequence[int]],
    device: torch.device,
    dtype: torch.dtype,
) -> np.ndarray:
    """The embeddings' output, the middle and the last layer's states, float32 [3, tokens, width],
    of texts one by one.
    """
    teacher = teacher.to(device=device, dtype=dtype)
    states = []
    for ids in encoded:
        hidden = teacher(torch.tensor([ids], device=device), output_hidden_states=True)[
            "hidden_states"
        ]
        chosen = torch.stack([hidden[0], hidden[len(hidden) // 2], hidden[-1]])
        states.append(chosen[:, 0].float().cpu().numpy())
    teacher.to(device="cpu", dtype=torch.float32)
    return np.concatenate(states, axis=1)


def relative_error(states: np.ndarray, reference: np.ndarray) -> list[float]:
    """Norm of the difference over the norm, for each of the states' layers."""
    difference = np.linalg.norm(states - reference, axis=(1, 2))
    return [float(value) for value in difference / np.linalg.norm(reference, axis=(1, 2))]


def losses_of(
    bundle: Bundle,
    device: str,
    precision: str,
    steps: int = STEPS,
    progress: Progress | None = None,
) -> np.ndarray:
    """The losses of the first `steps`, float64."""
    teacher = bundle.teacher()
    section = DistillationSection.model_validate(
        {
            "objectives": bundle.manifest.distillation["objectives"],
            "tokens": 2 * STEPS * BATCH_TOKENS,
            "batch_tokens": BATCH_TOKENS,
            "chunk_words": [8, 64],
            "validations": 0,
            "checkpoint_seconds": 1e6,
            "precision": precision,
        }
    )
    pair = Pair(
        student=bundle.student(teacher),
        teacher=teacher,
        tokenizer=bundle.tokenizer,
        layers=bundle.manifest.layers,
        pooling=bundle.manifest.pooling,
    )
    losses: list[float] = []

    def note(figures: dict[str, float], step: int) -> None:
        losses.append(figures["loss"])
        if len(losses) == steps:
            raise EnoughError

    with log_every_step(), suppress(EnoughError), tempfile.TemporaryDirectory() as folder:
        distil(
            pair,
            bundle.chunks("train", 4 * STEPS * BATCH_TOKENS),
            bundle.chunks("heldout", BATCH_TOKENS),
            section,
            checkpoint=Path(folder) / "checkpoint",
            runtime=Runtime(progress=progress or Progress(quiet=True), device_name=device),
            log=note,
        )
    return np.array(losses)
