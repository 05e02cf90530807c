"""Distillation in memory: a student learns from its teacher on chunks of text, in place."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distill.distillation.cache import TeacherCache
from distill.distillation.criterion import Criterion
from distill.distillation.fidelity import make_reference, measure_fidelity
from distill.distillation.step import Backward
from distill.models.after_pooling import AfterPooling
from distill.models.heads import piece_bytes
from distill.models.operations import training_operations
from distill.models.task_heads import TaskHead, head_of
from distill.recipe import DistillationSection
from distill.runtime.precision import peak_rate
from distill.runtime.runtime import Runtime
from distill.training.batches import Masking
from distill.training.checkpoints import LoopState
from distill.training.chunks import Chunks
from distill.training.loop import Log, Step, TrainingLoop, starting_precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOG_STEPS = 10
"""Losses are logged every this many steps."""
EAGER_LENGTH = 256
"""Longest chunk, in tokens, for which the CPU takes plain attention.

There torch's fused attention takes a third of a step on chunks of 64 tokens, plain products a
tenth.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A student with the teacher that it learns from."""

    student: PreTrainedModel
    """Changed in place."""
    teacher: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    """Of both."""
    layers: Sequence[int]
    """The teacher's layers, counted from 1, that the student's stand for."""
    pooling: str
    """How a text's vector is made of its tokens': one of `POOLINGS`."""
    after: AfterPooling = field(default_factory=AfterPooling)
    """What becomes of that vector."""
    of_pairs: bool = False
    """Whether they read pairs of texts."""

    @property
    def head(self) -> TaskHead | None:
        """The teacher's, where it is fine-tuned."""
        return head_of(self.teacher)

    @property
    def padding(self) -> int:
        """The id that fills a batch up."""
        return self.student.config.pad_token_id or 0


def distil(
    pair: Pair,
    chunks: Chunks,
    heldout: Chunks,
    section: DistillationSection,
    *,
    checkpoint: Path,
    runtime: Runtime,
    log: Log = lambda figures, step: None,
) -> LoopState:
    """Train the student in place until the token budget is used, or it stalls; it ends as it
    validated best.

    The budget is fixed before the first step, even where the recipe limits the minutes: the
    learning rate follows from it, and a resumed run keeps it. Resumes from the checkpoint at
    `checkpoint` if there is one. The teacher, and the student's attention kernel, are afterwards as
    they were. Raises what `TrainingLoop.steps` does, and ValueError if a model lacks what an
    objective compares.
    """
    device, processes = runtime.device, runtime.processes
    precision = starting_precision(checkpoint, section, device, processes)
    eager = needs_eager(section, chunks, device)
    with prepared(pair, precision, device, eager=eager) as (student, teacher):
        models = replace(pair, student=student, teacher=teacher)
        criterion, loop = open_loop(models, chunks, section, precision, checkpoint, runtime)
        if loop.is_resumed:
            at = f"step {loop.state.step:,} ({loop.state.tokens:,} tokens)"
            runtime.progress.say(f"distillation: resuming from {at}")
        with criterion.open():
            vocabulary = student.config.vocab_size
            masking = Masking.of(pair.tokenizer, section, vocabulary, runtime.seed)
            unseen = Masking.of(pair.tokenizer, section, vocabulary, runtime.seed + 1)
            sizes = piece_bytes(pair.tokenizer)
            reference = make_reference(criterion, heldout, unseen, sizes, pair.padding, device)
            criterion.calibrate(reference.batches)
            cache = fill_cache(criterion, chunks, loop, masking, checkpoint, pair.padding, runtime)
            backward = Backward(
                criterion,
                chunks,
                masking,
                padding=pair.padding,
                device=device,
                processes=processes,
                read_teacher=cache,
            )

            def validate() -> None:
                fidelity = measure_fidelity(criterion, reference)
                loop.state.fidelity.append({"tokens": loop.state.tokens, **fidelity})
                log({f"fidelity/{key}": value for key, value in fidelity.items()}, loop.state.step)
                loop.judge(fidelity["objective"])

            if not loop.is_resumed:
                begin(loop, backward, validate if section.validations else None, section, runtime)
            length = int(chunks.lengths.mean()) if len(chunks) else 1
            operations = training_operations(student, teacher, length)
            operations /= peak_rate(device, precision)
            for step in loop.steps(backward, "distillation", operations):
                if loop.state.step % LOG_STEPS == 0:
                    log_step(loop.state, step, operations / processes.count, log)
                if is_validation_due(loop.state, section):
                    validate()
            loop.load_best()
    return loop.state


def open_loop(
    pair: Pair,
    chunks: Chunks,
    section: DistillationSection,
    precision: str,
    checkpoint: Path,
    runtime: Runtime,
) -> tuple[Criterion, TrainingLoop]:
    """What compares a pair that is `prepared`, and the loop that trains its student on chunks."""
    device = runtime.device
    criterion = Criterion(
        pair.student,
        pair.teacher,
        section,
        layers=pair.layers,
        pooling=pair.pooling,
        after=pair.after.to(device),
        seed=runtime.seed,
        autocast=lambda: autocast(device, precision),
    )
    loop = TrainingLoop(
        criterion.trained.to(device),
        section,
        chunks.lengths,
        precision=precision,
        checkpoint=checkpoint,
        runtime=runtime,
    )
    return criterion, loop


def needs_eager(section: DistillationSection, chunks: Chunks, device: torch.device) -> bool:
    """Whether plain attention runs: where its scores are compared, and where it is faster."""
    short = device.type == "cpu" and int(chunks.lengths.max()) <= EAGER_LENGTH
    return bool(section.objectives.attention) or short


@contextmanager
def prepared(
    pair: Pair, precision: str, device: torch.device, *, eager: bool
) -> Iterator[tuple[PreTrainedModel, PreTrainedModel]]:
    """Student and teacher as the loop runs them; afterwards the teacher is as it was, and so is the
    student but for its weights and its device.

    A teacher of another dtype is copied: converting it would lose bits.
    """
    student, teacher = pair.student, pair.teacher
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    kernels = [model.config._attn_implementation for model in (student, teacher)]
    home = teacher.device
    tensors = chain(teacher.parameters(), teacher.buffers())
    reader = teacher
    if any(tensor.is_floating_point() and tensor.dtype != dtype for tensor in tensors):
        reader = copy.deepcopy(teacher).to(dtype=dtype)
    try:
        # No dropout: the student imitates a teacher that has none, and a short budget has no use
        # for noise.
        student.eval().to(device)
        reader.to(device)
        if eager:
            student.set_attn_implementation("eager")
            reader.set_attn_implementation("eager")
        yield student, reader
    finally:
        student.set_attn_implementation(kernels[0])
        if reader is teacher:
            teacher.set_attn_implementation(kernels[1])
            teacher.to(home)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The arithmetic that the student's matrix products run in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def fill_cache(
    criterion: Criterion,
    chunks: Chunks,
    loop: TrainingLoop,
    masking: Masking,
    checkpoint: Path,
    padding: int,
    runtime: Runtime,
) -> TeacherCache | None:
    """The teacher's states on disk, where the recipe wants them and the text is read repeatedly."""
    if not criterion.section.cache_teacher:
        return None
    if loop.state.budget <= int(chunks.offsets[-1]):
        runtime.progress.say(
            "distillation: the text is read once at most, so the teacher's states are not kept",
            "yellow",
        )
        return None
    cache = TeacherCache(criterion, chunks, checkpoint.with_name("teacher"))
    if runtime.processes.is_first:
        cache.fill(masking, padding, runtime.device, runtime.progress)
    runtime.processes.wait()
    cache.open()
    return cache


def begin(
    loop: TrainingLoop,
    backward: Backward,
    validate: Callable[[], None] | None,
    section: DistillationSection,
    runtime: Runtime,
) -> None:
    """What precedes the first step: a validation, the budget that fits into the recipe's minutes,
    and a checkpoint that a first spike can go back to.
    """
    started = time.monotonic()
    if validate is not None:
        validate()
    if section.minutes is not None:
        validating = time.monotonic() - started
        seconds = 60 * section.minutes - validating
        loop.fit_budget(backward, seconds, section.validations * validating)
        if loop.state.budget < section.tokens:
            runtime.progress.say(
                f"distillation: {loop.state.budget:,} tokens fit into {section.minutes:g} minutes "
                "here"
            )
    loop.save()


def is_validation_due(state: LoopState, section: DistillationSection) -> bool:
    """Whether the tokens so far call for another validation: they are spread evenly."""
    due = state.tokens * section.validations / state.budget
    return bool(section.validations) and len(state.fidelity) <= due


def log_step(state: LoopState, step: Step, operations: float, log: Log) -> None:
    """Keep a step's losses in the history and hand its figures to `log`."""
    state.history.append({"tokens": state.tokens, "loss": step.loss, **step.values})
    log(
        {
            **{f"loss/{name}": value for name, value in step.values.items()},
            "loss": step.loss,
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "tokens_per_second": step.tokens_per_second,
            "share_of_peak": step.tokens_per_second * operations,
            "memory_bytes": float(step.memory_bytes),
            "tokens": float(state.tokens),
        },
        state.step,
    )
