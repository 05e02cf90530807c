"""How fast the distillation loop is: against the machine's matrix product and a plain loop.

    .venv/bin/python benchmarks/throughput.py              the quickstart's teacher, best device
    .venv/bin/python benchmarks/throughput.py --steps 10   a quick look

distils six of the teacher's twelve layers on its newsreels, by hidden states on packed blocks, in
turns with a plain loop of `transformers.Trainer` in float32 with the same models, batch and
objective, and prints tokens per second of both and the share of the device's measured matrix
product that ours reaches: six operations a student's matrix parameter, two a teacher's, attention
included. Writes benchmarks/results/throughput.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from setting import RESULTS, TEACHER, newsreels, trimmed_teacher

from distill.distillation.loop import Pair, distil
from distill.distillation.objectives.hidden import hidden_loss
from distill.models import LoadedModel
from distill.models.operations import training_operations
from distill.recipe import DistillationSection
from distill.runtime.memory import memory_in_use
from distill.runtime.precision import choose_precision
from distill.runtime.processes import Processes
from distill.runtime.progress import silence_libraries
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from distill.training.blocks import write_blocks
from distill.training.chunks import Chunks

RESULT = RESULTS / "throughput.json"
LAYERS = [2, 4, 6, 8, 10, 12]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default=TEACHER)
    parser.add_argument("--steps", type=int, default=40, help="optimiser steps of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--block-tokens", type=int, default=128)
    options = parser.parse_args()
    silence_libraries()
    texts = newsreels(1500)
    teacher = trimmed_teacher(texts, options.teacher)
    device = Processes(alone=True).device
    precision = choose_precision("auto", device)
    section = DistillationSection(
        tokens=options.steps * options.batch_tokens,
        batch_tokens=options.batch_tokens,
        block_tokens=options.block_tokens,
        validations=0,
        checkpoint_seconds=1e9,
        precision=precision,  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chunks = write_blocks(texts, teacher.tokenizer, folder, block_tokens=options.block_tokens)
        ours, plain, shares = [], [], []
        for turn in range(options.turns):
            peak = measured_peak(device, getattr(torch, precision))
            speed = our_loop(teacher, chunks, section, folder / f"checkpoint{turn}")
            peak = max(peak, measured_peak(device, getattr(torch, precision)))
            operations = training_operations(
                keep_layers(teacher.model, LAYERS), teacher.model, options.block_tokens
            )
            ours.append(speed)
            shares.append(speed * operations / peak)
            plain.append(
                plain_loop(
                    teacher,
                    chunks,
                    max(3, options.steps // 8),
                    options.batch_tokens,
                    folder / "plain",
                )
            )
            print(
                f"ours {speed:,.0f} tokens/s, {shares[-1]:.1%} of {peak / 1e9:,.0f} Gop/s; plain "
                f"{plain[-1]:,.0f}",
                flush=True,
            )
    kept: dict[str, Any] = {
        **provenance({**vars(options), "layers": LAYERS, "precision": precision}),
        "ours_tokens_per_second": ours,
        "trainer_tokens_per_second": plain,
        "share_of_peak": statistics.median(shares),
        "times_the_plain_loop": statistics.median(a / b for a, b in zip(ours, plain, strict=True)),
        "memory_bytes": memory_in_use(device),
    }
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(
        f"{kept['share_of_peak']:.1%} of the peak; {kept['times_the_plain_loop']:.1f} times a "
        "plain loop"
    )


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The best of many matrix products in operations a second, over a few sizes."""
    best = 0.0
    for side in (1024, 2048):
        left = torch.randn(side, side, device=device, dtype=dtype)
        for _ in range(12):
            started = time.perf_counter()
            left @ left
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def our_loop(
    teacher: LoadedModel, chunks: Chunks, section: DistillationSection, checkpoint: Path
) -> float:
    """Tokens per second of the full loop."""
    student, model = keep_layers(teacher.model, LAYERS), keep_layers(teacher.model, range(1, 13))
    pair = Pair(
        student=student,
        teacher=model,
        tokenizer=teacher.tokenizer,
        layers=LAYERS,
        pooling="mean",
    )
    state = distil(pair, chunks, chunks, section, checkpoint=checkpoint, runtime=Runtime())
    return state.tokens / state.seconds


def plain_loop(
    teacher: LoadedModel, chunks: Chunks, steps: int, batch_tokens: int, folder: Path
) -> float:
    """Tokens per second of `transformers.Trainer` in float32 on the same blocks with the same
    objective.
    """
    from transformers import Trainer, TrainingArguments

    student, model = keep_layers(teacher.model, LAYERS), keep_layers(teacher.model, range(1, 13))
    length = int(chunks.lengths.max())
    rows = [row for row in range(len(chunks)) if chunks.lengths[row] == length]

    class Distiller(Trainer):
        def compute_loss(
            self, model_: Any, inputs: Any, return_outputs: bool = False, **_: Any
        ) -> Any:
            with torch.no_grad():
                target = model(**inputs, output_hidden_states=True).hidden_states
            own = model_(**inputs, output_hidden_states=True)
            loss = hidden_loss(
                own.hidden_states[1:], [target[layer] for layer in LAYERS], inputs["attention_mask"]
            )
            return (loss, own) if return_outputs else loss

    model.to(Processes(alone=True).device)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch_tokens // length,
        max_steps=steps,
        save_strategy="no",
        report_to=[],
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )
    examples = [
        {
            "input_ids": torch.from_numpy(
                np.array(chunks.ids[chunks.offsets[r] : chunks.offsets[r + 1]], dtype=np.int64)
            )
        }
        for r in rows[: steps * batch_tokens // length]
    ]
    for example in examples:
        example["attention_mask"] = torch.ones_like(example["input_ids"])
    started = time.perf_counter()
    Distiller(model=student, args=arguments, train_dataset=examples).train()
    return steps * (batch_tokens // length) * length / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
