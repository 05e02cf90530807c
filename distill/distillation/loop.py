"""The distillation loop: chunks, a teacher and a student in memory go in; the student is trained in place."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator

from distill.distillation.checkpoints import LoopState, find_checkpoint, load_checkpoint, save_checkpoint
from distill.distillation.chunks import Chunks, batch_stream
from distill.distillation.fidelity import measure_fidelity, reference_states
from distill.distillation.objectives import embedding_loss, hidden_loss, relation_loss
from distill.distillation.precision import choose_precision
from distill.distillation.states import StateReader, States
from distill.errors import UserError
from distill.interruption import Interruption
from distill.progress import Progress
from distill.recipe import DistillationSection, ObjectivesSection
from distill.teacher.pooling import pool

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOG_STEPS = 10
"""Losses are logged every so many steps."""
PROBE_SECONDS = 5.0
"""How long batches are rehearsed to tell what fits into a recipe's minutes."""
EAGER_LENGTH = 256
"""On the CPU, torch's fused attention takes a third of a step on chunks of 64 tokens, and plain products a tenth."""
_SMOOTHING = 0.95
Log = Callable[[dict[str, float], int], None]


def learning_rate_at(share: float, section: DistillationSection) -> float:
    """The learning rate when `share` of the token budget is used: a linear rise, then a linear fall to zero."""
    if share < section.warmup:
        return section.learning_rate * min(1.0, max(share, 1e-3) / section.warmup)
    return section.learning_rate * max(0.0, (1.0 - share) / (1.0 - section.warmup))


def objective_losses(
    student: States,
    teacher: States,
    mask_BL: torch.Tensor,
    *,
    weights: ObjectivesSection,
    layers: Sequence[int],
    heads: int,
    pooling: str,
) -> dict[str, torch.Tensor]:
    """The value of each objective that has a weight, before weighing."""
    losses: dict[str, torch.Tensor] = {}
    if weights.hidden:
        losses["hidden"] = hidden_loss(student.hidden[1:], [teacher.hidden[layer] for layer in layers], mask_BL)
    if weights.relations:
        losses["relations"] = relation_loss(student.projections, teacher.projections, mask_BL, heads)
    if weights.embedding:
        own, target = (pool(states.last.float(), mask_BL, pooling) for states in (student, teacher))
        losses["embedding"] = embedding_loss(own, target)
    return losses


def distil(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    *,
    layers: Sequence[int],
    chunks: Chunks,
    heldout: Chunks,
    section: DistillationSection,
    pooling: str,
    seed: int,
    checkpoint: Path,
    interruption: Interruption,
    progress: Progress,
    log: Log,
) -> LoopState:
    """Train `student` in place until the token budget is used; the state at the end.

    The budget is fixed before the first step, even where the recipe limits the minutes: the learning rate follows from
    it, and a run that is resumed keeps it. `layers` are the teacher layers, counted from 1, that the student's stand
    for. Goes on from the checkpoint at `checkpoint` if there is one. A signal writes a checkpoint and raises
    Interrupted. Raises UserError if the loss stops being finite.
    """
    accelerator = Accelerator(mixed_precision="no")  # autocast is set below, so that what was probed is what runs
    device, padding = accelerator.device, student.config.pad_token_id or 0
    # No dropout: the student imitates a teacher that has none, and a short budget has no use for noise.
    student.eval()
    optimizer = torch.optim.AdamW(parameter_groups(student, section.weight_decay), betas=(0.9, 0.98), fused=True)
    student, optimizer = accelerator.prepare(student, optimizer)
    bare = accelerator.unwrap_model(student)
    found = find_checkpoint(checkpoint)
    if found:
        state = load_checkpoint(found, bare, optimizer.optimizer)
        state.resumed_from = state.step
        progress.say(f"distillation: going on from step {state.step:,} ({state.tokens:,} tokens)")
    else:
        state = LoopState(precision=choose_precision(section.precision, device), budget=section.tokens)
    half = state.precision == "bfloat16"
    teacher = teacher.to(device=device, dtype=torch.bfloat16 if half else torch.float32)
    kernel = bare.config._attn_implementation
    if device.type == "cpu" and int(chunks.lengths.max()) <= EAGER_LENGTH:
        bare.set_attn_implementation("eager")
        teacher.set_attn_implementation("eager")
    weights = section.objectives
    # As many relation heads as both widths divide into; with equal widths, the models' own.
    heads = math.gcd(teacher.config.num_attention_heads, bare.config.num_attention_heads)
    read_student = StateReader(bare, projections=weights.relations > 0)
    read_teacher = StateReader(teacher, projections=weights.relations > 0)

    def arithmetic() -> AbstractContextManager[None]:
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    with torch.no_grad():
        reference = reference_states(read_teacher, heldout, pooling, padding, device) if section.validations else None

    def validate() -> None:
        if reference is not None:
            with arithmetic():
                measured = measure_fidelity(read_student, reference, pooling)
            state.fidelity.append({"tokens": state.tokens, **measured})
            log({f"fidelity/{name}": value for name, value in measured.items()}, state.step)

    def forward(rows: np.ndarray) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
        ids, mask = (tensor.to(device) for tensor in chunks.batch(rows, padding))
        with torch.no_grad():
            target = read_teacher(ids, mask)
        with arithmetic():
            own = read_student(ids, mask)
        losses = objective_losses(own, target, mask, weights=weights, layers=layers, heads=heads, pooling=pooling)
        return torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum(), losses, int(mask.sum())

    def rehearse(rows: np.ndarray) -> int:
        loss, _, gained = forward(rows)
        accelerator.backward(loss)
        optimizer.zero_grad(set_to_none=True)
        return gained

    if not found:
        validating = time.monotonic()
        validate()
        if section.minutes is not None:
            seconds = 60 * section.minutes - section.validations * (time.monotonic() - validating)
            rehearsed = (rehearse(rows) for _, _, rows in batch_stream(chunks.lengths, section.batch_tokens, seed))
            state.budget = min(section.tokens, max(1, int(seconds * measure_rate(rehearsed))))
            if state.budget < section.tokens:
                progress.say(f"distillation: {state.budget:,} tokens fit into {section.minutes:g} minutes here")
    saved_at = started = time.monotonic()
    before = state.seconds
    stream = batch_stream(chunks.lengths, section.batch_tokens, seed, state.epoch, state.batch)
    with (
        closing(read_student),
        closing(read_teacher),
        interruption.deferred(),
        progress.task("distillation", total=state.budget, unit="tokens", already=state.tokens) as task,
    ):
        while state.tokens < state.budget:
            epoch, number, rows = next(stream)
            loss, losses, gained = forward(rows)
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(student.parameters(), section.max_gradient_norm)
            if not (math.isfinite(loss.item()) and math.isfinite(float(norm))):  # before the weights are touched
                raise UserError(
                    f"distillation: at step {state.step + 1} the loss is {loss.item()} and its gradient's norm {float(norm)}; "
                    f"lower distillation.learning_rate (now {section.learning_rate}) or set distillation.precision: float32."
                )
            rate = learning_rate_at(state.tokens / state.budget, section)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)  # accelerate would fill with zeros, a tenth of a step on the CPU

            state.step, state.epoch, state.batch = state.step + 1, epoch, number + 1
            state.tokens += gained
            state.loss = _smooth(state.loss, loss.item())
            state.seconds = before + time.monotonic() - started
            speed = state.tokens / state.seconds
            task.advance(gained, f"loss {state.loss:.4f}, {speed:,.0f} tokens/s")
            if state.step % LOG_STEPS == 0:
                parts = {name: value.item() for name, value in losses.items()}
                state.history.append({"tokens": state.tokens, "loss": loss.item(), **parts})
                metrics = {f"loss/{name}": value for name, value in parts.items()} | {"loss": loss.item()}
                metrics |= {"learning_rate": rate, "gradient_norm": float(norm), "tokens_per_second": speed}
                log(metrics | {"tokens": float(state.tokens)}, state.step)
            if section.validations and len(state.fidelity) <= state.tokens * section.validations / state.budget:
                validate()
            if interruption.requested or time.monotonic() - saved_at >= section.checkpoint_seconds:
                save_checkpoint(checkpoint, bare, optimizer.optimizer, state)
                saved_at = time.monotonic()
                interruption.check()
    bare.set_attn_implementation(kernel)
    return state


def measure_rate(rehearsed: Iterable[int]) -> float:
    """Tokens per second of batches that are rehearsed one by one; the first of them warms up."""
    batches = iter(rehearsed)
    next(batches)
    tokens, started = 0, time.monotonic()
    for gained in batches:
        tokens += gained
        if (seconds := time.monotonic() - started) >= PROBE_SECONDS:
            break
    return tokens / seconds


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices with weight decay; biases and norms without."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _smooth(average: float | None, value: float) -> float:
    return value if average is None else _SMOOTHING * average + (1 - _SMOOTHING) * value
