"""The distillation loop: chunks, a teacher and a student in memory go in; the student is trained in
place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distill.distillation.cache import TeacherCache
from distill.distillation.criterion import Criterion
from distill.distillation.fidelity import make_reference, measure_fidelity
from distill.distillation.step import Backward
from distill.models.heads import piece_bytes
from distill.models.operations import training_operations
from distill.recipe import DistillationSection
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.interruption import Interruption
from distill.runtime.memory import memory_in_use
from distill.runtime.precision import choose_precision, peak_rate
from distill.runtime.processes import Processes
from distill.runtime.progress import Progress
from distill.training.batches import Masking
from distill.training.checkpoints import (
    LoopState,
    find_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
    saved_precision,
)
from distill.training.chunks import Chunks, batch_stream
from distill.training.groups import parameter_groups
from distill.training.schedule import learning_rate_at

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOG_STEPS = 10
"""Losses are logged every so many steps."""
PROBE_SECONDS = 5.0
"""How long batches are rehearsed to tell what fits into a recipe's minutes."""
EAGER_LENGTH = 256
"""On the CPU, torch's fused attention takes a third of a step on chunks of 64 tokens, and plain
products a tenth.
"""
SPIKE, SETTLED_STEPS = 5.0, 50
"""A loss so many times the highest of so many first steps means that the weights were thrown off.

Not so many times the running average: batches of short chunks have losses several times those of
long ones.
"""
_SMOOTHING = 0.95
Log = Callable[[dict[str, float], int], None]


def distil(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
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
    processes: Processes | None = None,
) -> LoopState:
    """Train `student` in place until the token budget is used, or it stalls; it ends as it
    validated best.

    The budget is fixed before the first step, even where the recipe limits the minutes: the
    learning rate follows from it, and a run that is resumed keeps it. `layers` are the teacher
    layers, counted from 1, that the student's stand for. Every process of a launch takes its share
    of each batch. Goes on from the checkpoint at `checkpoint` if there is one. A signal writes a
    checkpoint and raises Interrupted. A loss that is not finite, or leaps, is answered by going
    back to the last checkpoint and leaving that batch out; the second one raises UserError.
    """
    everyone = processes or Processes(alone=True)
    device, padding = everyone.device, student.config.pad_token_id or 0
    found, best = find_checkpoint(checkpoint), checkpoint.with_name("best")
    state = LoopState(
        precision=everyone.share(choose_precision(section.precision, device)), budget=section.tokens
    )
    if found:
        state.precision = saved_precision(found)
    half = state.precision == "bfloat16"
    kernel = student.config._attn_implementation
    eager = section.objectives.attention or (
        device.type == "cpu" and int(chunks.lengths.max()) <= EAGER_LENGTH
    )
    # No dropout: the student imitates a teacher that has none, and a short budget has no use for
    # noise.
    student.eval().to(device)
    teacher = teacher.to(device=device, dtype=torch.bfloat16 if half else torch.float32)
    if eager:
        student.set_attn_implementation("eager")
        teacher.set_attn_implementation("eager")

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    criterion = Criterion(
        student, teacher, section, layers=layers, pooling=pooling, seed=seed, autocast=autocast
    )
    trained = criterion.trained.to(device)
    optimizer = torch.optim.AdamW(
        parameter_groups(trained, section.weight_decay), betas=(0.9, 0.98), fused=True
    )
    if found:
        state = load_checkpoint(found, trained, optimizer)
        state.resumed_from = state.step
        progress.say(f"distillation: going on from step {state.step:,} ({state.tokens:,} tokens)")

    def masking(draw: int) -> Masking:
        return Masking.of(tokenizer, section, student.config.vocab_size, draw)

    reference = make_reference(
        criterion, heldout, masking(seed + 1), piece_bytes(tokenizer), padding, device
    )
    criterion.calibrate(reference.batches)
    cache = (
        _open_cache(criterion, chunks, state.budget, checkpoint.with_name("teacher"))
        if section.cache_teacher
        else None
    )
    if cache is not None:
        if everyone.is_first:
            cache.fill(masking(seed), padding, device, progress)
        everyone.wait()
        cache.open()
    elif section.cache_teacher:
        progress.say(
            "distillation: the text is read once at most, so the teacher's states are not kept",
            "yellow",
        )
    backward = Backward(
        criterion,
        chunks,
        masking(seed),
        micro_batch_tokens=section.micro_batch_tokens,
        padding=padding,
        device=device,
        processes=everyone,
        read_teacher=cache,
    )

    def validate() -> None:
        measured = measure_fidelity(criterion, reference)
        state.fidelity.append({"tokens": state.tokens, **measured})
        log({f"fidelity/{name}": value for name, value in measured.items()}, state.step)
        if state.best is None or measured["objective"] < state.best:
            state.best, state.best_step, state.stalled = measured["objective"], state.step, 0
            if everyone.is_first:
                save_weights(best, trained)
        else:
            state.stalled += 1

    def save() -> None:
        if everyone.is_first:
            save_checkpoint(checkpoint, trained, optimizer, state)
        everyone.wait()

    if not found:
        validating = time.monotonic()
        if section.validations:
            validate()
        if section.minutes is not None:
            seconds = 60 * section.minutes - section.validations * (time.monotonic() - validating)

            def rehearse() -> Iterable[int]:
                # Whole steps, by an optimiser of its own that moves nothing: on the CPU it takes a
                # fifth of a small step.
                rehearsed = torch.optim.AdamW(
                    parameter_groups(trained, section.weight_decay), lr=0.0, fused=True
                )
                for epoch, _, rows in batch_stream(chunks.lengths, section.batch_tokens, seed):
                    gained = backward(rows, epoch).tokens
                    norm = torch.nn.utils.clip_grad_norm_(
                        trained.parameters(), section.max_gradient_norm
                    )
                    if norm.isfinite():  # nothing times infinity would move the weights
                        rehearsed.step()
                    rehearsed.zero_grad(set_to_none=True)
                    yield gained

            rate = measure_rate(rehearse(), everyone)
            state.budget = everyone.share(min(section.tokens, max(1, int(seconds * rate))))
            if state.budget < section.tokens:
                progress.say(
                    f"distillation: {state.budget:,} tokens fit into {section.minutes:g} minutes here"
                )
        save()  # what a loss that goes astray at once goes back to
    length = int(chunks.lengths.mean()) if len(chunks) else 1
    operations, peak = (
        training_operations(student, teacher, length),
        peak_rate(device, state.precision),
    )
    saved_at = started = time.monotonic()
    before = state.seconds
    stream = batch_stream(chunks.lengths, section.batch_tokens, seed, state.epoch, state.batch)
    with (
        criterion.open(),
        interruption.deferred(),
        progress.task(
            "distillation", total=state.budget, unit="tokens", already=state.tokens
        ) as task,
    ):
        while state.tokens < state.budget and not (
            section.patience and state.stalled >= section.patience
        ):
            epoch, number, rows = next(stream)
            if [epoch, number] in state.skipped:
                continue
            due = time.monotonic() - saved_at >= section.checkpoint_seconds
            gained = backward(
                rows, epoch, stop=interruption.requested, due=due and everyone.is_first
            )
            norm = float(
                torch.nn.utils.clip_grad_norm_(trained.parameters(), section.max_gradient_norm)
            )
            if trouble := _trouble(gained.loss, norm, state):  # before the weights are touched
                where = f"step {state.step + 1} (epoch {epoch + 1}, batch {number + 1}, {len(rows)} chunks)"
                if state.skipped:
                    raise UserError(
                        f"distillation: at {where} {trouble}, for the second time; lower distillation.learning_rate "
                        f"(now {section.learning_rate}) or set distillation.precision: float32."
                    )
                progress.say(
                    f"distillation: at {where} {trouble}; back to the last checkpoint, without that batch",
                    "yellow",
                )
                spent, resumed = time.monotonic() - started, state.resumed_from
                state = load_checkpoint(
                    find_checkpoint(checkpoint) or checkpoint, trained, optimizer
                )
                state.skipped.append([epoch, number])
                state.resumed_from, before = resumed, before + spent - (time.monotonic() - started)
                optimizer.zero_grad(set_to_none=True)
                stream = batch_stream(
                    chunks.lengths, section.batch_tokens, seed, state.epoch, state.batch
                )
                continue
            rate = learning_rate_at(state.tokens / state.budget, section)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            state.step, state.epoch, state.batch = state.step + 1, epoch, number + 1
            state.tokens += gained.tokens
            state.loss = _smooth(state.loss, gained.loss)
            if state.step <= SETTLED_STEPS:
                state.highest_loss = max(state.highest_loss, gained.loss)
            state.seconds = before + time.monotonic() - started
            speed = state.tokens / state.seconds
            share = speed / everyone.count * operations / peak
            memory = memory_in_use(device)
            task.advance(
                gained.tokens,
                f"loss {state.loss:.4f}, {speed:,.0f} tokens/s, {share:.0%} of peak, {memory / 1e9:.1f} GB",
            )
            if state.step % LOG_STEPS == 0:
                state.history.append({"tokens": state.tokens, "loss": gained.loss, **gained.values})
                metrics = {f"loss/{name}": value for name, value in gained.values.items()} | {
                    "loss": gained.loss
                }
                metrics |= {
                    "learning_rate": rate,
                    "gradient_norm": norm,
                    "tokens_per_second": speed,
                }
                metrics |= {
                    "share_of_peak": share,
                    "memory_bytes": float(memory),
                    "tokens": float(state.tokens),
                }
                log(metrics, state.step)
            if (
                section.validations
                and len(state.fidelity) <= state.tokens * section.validations / state.budget
            ):
                validate()
            if gained.stop or gained.due:
                save()
                saved_at = time.monotonic()
                if gained.stop:
                    raise Interrupted
    if state.best_step not in (None, state.step):
        everyone.wait()
        load_weights(best, trained)
    student.set_attn_implementation(kernel)
    return state


def _open_cache(
    criterion: Criterion, chunks: Chunks, tokens: int, folder: Path
) -> TeacherCache | None:
    """A cache of the teacher's states, if the budget reads the text more than once."""
    return TeacherCache(criterion, chunks, folder) if tokens > int(chunks.offsets[-1]) else None


def measure_rate(rehearsed: Iterable[int], processes: Processes | None = None) -> float:
    """Tokens per second of batches that are rehearsed one by one; the first of them warms up."""
    batches = iter(rehearsed)
    next(batches)
    tokens, started = 0, time.monotonic()
    for gained in batches:
        tokens += gained
        seconds = time.monotonic() - started
        if (processes.share(seconds) if processes else seconds) >= PROBE_SECONDS:
            break
    return tokens / seconds


def _trouble(loss: float, norm: float, state: LoopState) -> str | None:
    """What is wrong with a step's loss or gradient, if anything is."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return f"the loss is {loss} and its gradient's norm {norm}"
    if state.step >= SETTLED_STEPS and loss > SPIKE * state.highest_loss:
        return f"the loss leaps to {loss:.4g}, from {state.loss:.4g} on average"
    return None


def _smooth(average: float | None, value: float) -> float:
    return value if average is None else _SMOOTHING * average + (1 - _SMOOTHING) * value
