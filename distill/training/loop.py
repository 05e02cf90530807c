"""The training loop: optimiser steps on a stream of batches, with checkpoints, rollback and live
figures.

Distillation and the student trained from scratch share it. The objective is the caller's: a
function that adds the gradients of a batch to the parameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.recipe import DistillationSection
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.memory import memory_in_use
from distill.runtime.precision import choose_precision
from distill.runtime.processes import Processes
from distill.runtime.runtime import Runtime
from distill.training.budget import checkpoint_seconds, measure_rate, plan, plan_anew
from distill.training.checkpoints import (
    SETTLED_STEPS,
    LoopState,
    are_weights_whole,
    find_checkpoint,
    load_checkpoint,
    load_weights,
    restore_best,
    save_checkpoint,
    save_weights,
    saved_precision,
)
from distill.training.chunks import batch_stream
from distill.training.gradients import AddGradients
from distill.training.groups import parameter_groups
from distill.training.prefetch import prefetched
from distill.training.schedule import learning_rate_at

_MEMORY_STEPS = 10
"""How often the memory in use is asked for: that takes a tenth of a short step on a GPU."""
SPIKE = 5.0
"""A loss this many times the highest of the first steps means that the weights were thrown off.

The running average would not do: batches of short chunks have losses several times those of long
ones.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step that was taken."""

    loss: float
    values: dict[str, float]
    """Each objective before weighting."""
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    memory_bytes: int


class DivergedError(UserError):
    """The loss went astray twice: other settings are needed."""


def starting_precision(
    checkpoint: Path, section: DistillationSection, device: torch.device, processes: Processes
) -> str:
    """The arithmetic of a loop: that of its checkpoint, or what the section and the device want."""
    if saved := find_checkpoint(checkpoint):
        return saved_precision(saved)
    return processes.share(choose_precision(section.precision, device))


class TrainingLoop:
    """Steps of AdamW over batches of chunks, from a checkpoint or from the beginning.

    Every process of a launch runs it and takes its share of each batch; the first one writes.
    """

    def __init__(
        self,
        trained: torch.nn.Module,
        section: DistillationSection,
        lengths: np.ndarray,
        *,
        precision: str,
        checkpoint: Path,
        runtime: Runtime,
    ) -> None:
        """`trained` is changed in place; `lengths` are the tokens of each chunk.

        Resumes from the checkpoint at `checkpoint` if there is one. The best weights are kept
        beside it.
        """
        self.trained = trained
        self._section, self._lengths = section, lengths
        self._checkpoint, self._best = checkpoint, checkpoint.with_name("best")
        self._runtime, self._processes = runtime, runtime.processes
        self._optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98), fused=True)
        self.state = LoopState(precision=precision, budget=section.tokens)
        if saved := find_checkpoint(checkpoint):
            self.state = load_checkpoint(saved, trained, self._optimizer)
            self.state.resumed_from = self.state.step
            if self._processes.is_first:
                restore_best(saved, self._best)
        if checkpoint.exists() and saved != checkpoint:
            where = f"the one before it, of step {self.state.step:,}" if saved else "the beginning"
            runtime.progress.say(
                f"distillation: the last checkpoint is damaged; going on from {where}", "yellow"
            )

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier process took the first steps."""
        return self.state.resumed_from is not None

    def fit_budget(self, add_gradients: AddGradients, seconds: float, reserved: float) -> None:
        """Lower the budget to the tokens that fit into `seconds` here, of which validations will
        take `reserved`: told by rehearsing steps, and planned anew with every checkpoint.
        """
        started = time.monotonic()
        rate = measure_rate(self._rehearse(add_gradients), self._processes)
        self.state.allowed_seconds = seconds - (time.monotonic() - started)
        plan(self._section, self.state, rate * (seconds - reserved), self._processes)

    def rehearsed_rate(self, add_gradients: AddGradients, seconds: float) -> float:
        """Tokens a second of whole steps that move nothing, over so long."""
        return measure_rate(self._rehearse(add_gradients), self._processes, seconds)

    def steps(
        self, add_gradients: AddGradients, name: str, operations: float = 0.0
    ) -> Iterator[Step]:
        """Take steps until the budget is used or validation stalls, giving each after it was taken.

        `operations` are those of a token, over the device's peak: for the share of the peak that
        is shown. A loss that is not finite, or leaps, sends the loop back to the last checkpoint,
        without that batch; raises DivergedError the second time, and Interrupted after a signal,
        when a checkpoint is written.
        """
        runtime = self._runtime
        clock = _Clock(self.state)
        saved_at = time.monotonic()
        budget, done, memory = self.state.budget, self.state.tokens, 0
        with (
            ExitStack() as streams,
            runtime.interruption.deferred(),
            runtime.progress.task(name, total=budget, unit="tokens", already=done) as task,
        ):
            stream = streams.enter_context(closing(self._stream(add_gradients)))
            while self.state.tokens < self.state.budget and not self._has_stalled():
                epoch, number, rows, prepared = next(stream)
                seconds = checkpoint_seconds(self._section, self.state)
                due = time.monotonic() - saved_at >= seconds
                gradients = add_gradients(
                    prepared,
                    stop=runtime.interruption.requested,
                    due=due and self._processes.is_first,
                )
                values, norm = gradients.read(self._clip())
                loss = sum(gradients.weights[name] * value for name, value in values.items())
                # Before the weights are touched.
                if trouble := describe_trouble(loss, norm, self.state):
                    self._roll_back(trouble, epoch, number, rows)
                    stream = streams.enter_context(closing(self._stream(add_gradients)))
                    continue
                rate = self._step()
                self.state.advance(epoch, number, gradients.tokens, loss)
                self.state.seconds = clock.seconds
                if self.state.step % _MEMORY_STEPS == 1 or not memory:
                    memory = memory_in_use(runtime.device)
                step = Step(
                    loss=loss,
                    values=values,
                    learning_rate=rate,
                    gradient_norm=norm,
                    tokens_per_second=self.state.tokens / self.state.seconds,
                    memory_bytes=memory,
                )
                task.advance(gradients.tokens, self._describe(step, operations))
                yield step
                if gradients.due:
                    plan_anew(self._section, self.state, self._processes)
                    task.total = self.state.budget
                if gradients.stop or gradients.due:
                    self.save()
                    saved_at = time.monotonic()
                    if gradients.stop:
                        raise Interrupted

    def save(self) -> None:
        """Write a checkpoint; every process returns when it is there."""
        if self._processes.is_first:
            save_checkpoint(self._checkpoint, self.trained, self._optimizer, self.state, self._best)
        self._processes.wait()

    def judge(self, objective: float) -> None:
        """Keep the weights if the validation `objective` is the lowest so far."""
        state = self.state
        if state.best is None or objective < state.best:
            state.best, state.best_step, state.stalled = objective, state.step, 0
            if self._processes.is_first:
                state.best_hash = save_weights(self._best, self.trained)
        else:
            state.stalled += 1

    def load_best(self) -> None:
        """Put the weights back that validated best."""
        if self.state.best_step not in (None, self.state.step):
            self._processes.wait()
            if self._processes.share(are_weights_whole(self._best, self.state.best_hash)):
                load_weights(self._best, self.trained)
            else:
                self._runtime.progress.say(
                    f"distillation: the weights of step {self.state.best_step:,}, which validated "
                    "best, are damaged; those of the last step are kept",
                    "yellow",
                )
                self.state.best_step = self.state.step

    def _step(self) -> float:
        rate = learning_rate_at(self.state.tokens / self.state.budget, self._section)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return rate

    def _roll_back(self, trouble: str, epoch: int, number: int, rows: int) -> None:
        where = f"step {self.state.step + 1} (epoch {epoch + 1}, batch {number + 1}, {rows} chunks)"
        if self.state.skipped:
            raise DivergedError(
                f"distillation: at {where} {trouble}, for the second time; lower "
                f"distillation.learning_rate (now {self._section.learning_rate}) or set "
                "distillation.precision: float32."
            )
        self._runtime.progress.say(
            f"distillation: at {where} {trouble}; back to the last checkpoint, without that batch",
            "yellow",
        )
        resumed = self.state.resumed_from
        saved = find_checkpoint(self._checkpoint) or self._checkpoint
        self.state = load_checkpoint(saved, self.trained, self._optimizer)
        self.state.skipped.append([epoch, number])
        self.state.resumed_from = resumed
        self._optimizer.zero_grad(set_to_none=True)

    def _rehearse(self, add_gradients: AddGradients) -> Iterator[int]:
        # Whole steps, by an optimiser that moves nothing: on the CPU it takes a fifth of a small
        # step.
        optimizer = torch.optim.AdamW(self._groups(), lr=0.0, fused=True)
        stream = batch_stream(self._lengths, self._section.batch_tokens, self._runtime.seed)
        prepared = (add_gradients.prepare(rows, epoch) for epoch, _, rows in stream)
        for batch in prefetched(prepared):
            tokens = add_gradients(batch).tokens
            if self._clip().isfinite():  # nothing times infinity would move the weights
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield tokens

    def _groups(self) -> list[dict[str, object]]:
        return parameter_groups(self.trained, self._section.weight_decay)

    def _clip(self) -> torch.Tensor:
        """Scale the gradients down to the recipe's norm; the norm that they had."""
        parameters, norm = self.trained.parameters(), self._section.max_gradient_norm
        return torch.nn.utils.clip_grad_norm_(parameters, norm)

    def _stream(
        self, add_gradients: AddGradients
    ) -> Generator[tuple[int, int, int, Any], None, None]:
        """Epoch, batch within it, how many chunks it has, and the batch as it was prepared."""
        state, section = self.state, self._section
        seed = self._runtime.seed
        batches = batch_stream(self._lengths, section.batch_tokens, seed, state.epoch, state.batch)
        return prefetched(
            (epoch, number, len(rows), add_gradients.prepare(rows, epoch))
            for epoch, number, rows in batches
            if [epoch, number] not in state.skipped
        )

    def _has_stalled(self) -> bool:
        return bool(self._section.patience and self.state.stalled >= self._section.patience)

    def _describe(self, step: Step, operations: float) -> str:
        parts = [f"loss {self.state.loss:.4f}", f"{step.tokens_per_second:,.0f} tokens/s"]
        if operations:
            share = step.tokens_per_second / self._processes.count * operations
            parts.append(f"{share:.0%} of peak")
        return ", ".join([*parts, f"{step.memory_bytes / 1e9:.1f} GB"])


class _Clock:
    """Seconds spent in the loop, those of earlier processes included."""

    def __init__(self, state: LoopState) -> None:
        self._before, self._started = state.seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._started


def describe_trouble(loss: float, norm: float, state: LoopState) -> str | None:
    """What is wrong with a step's loss or the norm of its gradient; None if nothing is."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return f"the loss is {loss} and its gradient's norm {norm}"
    if state.step >= SETTLED_STEPS and loss > SPIKE * state.highest_loss:
        return f"the loss leaps to {loss:.4g}, from {state.loss:.4g} on average"
    return None


Log = Callable[[dict[str, float], int], None]
"""Takes figures by name, and the step that they are of."""
