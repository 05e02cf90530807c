"""Pruning in steps: a student of the teacher's width goes in; a narrower one comes out, recovered
after each step.

Each finished step is a folder, from which a cut-off run goes on. Many small steps, each with
importance computed anew, keep far more than one large one (TextPruner, Yang et al. 2022).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distill.models.loading import load_model, position_limit
from distill.models.saving import save_model
from distill.recipe import StudentSection
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.student.importance import accumulate_gradients
from distill.student.width import check_width, narrow, step_widths

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Recover = Callable[["PreTrainedModel", list[int], int], None]
"""Trains a student, of these teacher layers and after this step, in place."""

BATCH_TEXTS = 16
TEXT_TOKENS = 128
_TEXT_CHARACTERS = 2048  # more than so many tokens ever need; a document can be a book


def prune_in_steps(
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    section: StudentSection,
    *,
    layers: list[int],
    texts: Iterable[str],
    seed: int,
    progress: Progress,
    recover: Recover | None,
    output: Path,
) -> PreTrainedModel:
    """`student` narrowed to the section's sizes in its steps, going on from the last step found in
    `output`.

    Each step reads texts of its own, from the start again where they end. Raises ValueError as
    `check_width` does, and UserError if there is no text.
    """
    pruning = section.pruning
    sizes = {"hidden_size": section.hidden_size, "intermediate_size": section.intermediate_size}
    check_width(student.config, **sizes)
    widths = step_widths(student.config, **sizes, steps=pruning.steps)
    kept = [
        text[:_TEXT_CHARACTERS]
        for text in islice(texts, pruning.batches * BATCH_TEXTS * len(widths))
    ]
    if not kept:
        raise UserError("student: the text is empty; there is nothing to prune by.")
    length = min(TEXT_TOKENS, position_limit(student))
    done = last_step(output)
    if done:
        student = load_model(output / f"step-{done}")
    for step, (hidden_size, intermediate_size) in enumerate(widths[done:], start=done + 1):
        batches = step_batches(kept, tokenizer, step=step, count=pruning.batches, length=length)
        with progress.task(
            f"student: pruning, step {step} of {len(widths)}", total=len(batches), unit="batches"
        ) as task:
            student = narrow(
                student,
                hidden_size=hidden_size,
                intermediate_size=intermediate_size,
                example=batches[0],
                importance=pruning.importance,
                gradients=partial(
                    _compute_gradients,
                    batches=batches,
                    tokenizer=tokenizer,
                    seed=seed + step,
                    advance=task.advance,
                ),
            )
        if recover is not None and pruning.recover_tokens:
            recover(student, layers, step)
            student = student.to("cpu").eval()
        save_step(student, tokenizer, output, step)
    return student


def step_batches(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, step: int, count: int, length: int
) -> list[tuple[Tensor, Tensor]]:
    """The step's `count` batches, ids_BL and mask_BL with L at most `length`: other texts each step
    while they last.
    """
    batches = []
    for batch in range((step - 1) * count, step * count):
        chosen = [
            texts[i % len(texts)] for i in range(batch * BATCH_TEXTS, (batch + 1) * BATCH_TEXTS)
        ]
        encoded = tokenizer(
            chosen, padding=True, truncation=True, max_length=length, return_tensors="pt"
        )
        batches.append((encoded["input_ids"], encoded["attention_mask"]))
    return batches


def save_step(
    student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output: Path, step: int
) -> None:
    """Write a finished step's folder, whole or not at all, in place of the one before."""
    unfinished = output / f".step-{step}.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    save_model(student, tokenizer, unfinished)
    unfinished.rename(output / f"step-{step}")
    for earlier in _steps(output):
        if earlier < step:
            shutil.rmtree(output / f"step-{earlier}")


def last_step(output: Path) -> int:
    """The number of the last finished step in `output`, 0 if there is none."""
    return max(_steps(output), default=0)


def remove_steps(output: Path) -> None:
    """Delete all steps, finished or not."""
    for folder in (*output.glob("step-*"), *output.glob(".step-*.partial")):
        shutil.rmtree(folder)


def _steps(output: Path) -> list[int]:
    return [int(folder.name.removeprefix("step-")) for folder in output.glob("step-*")]


def _compute_gradients(
    model: PreTrainedModel,
    *,
    batches: Sequence[tuple[Tensor, Tensor]],
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    advance: Callable[[], None],
) -> None:
    accumulate_gradients(
        model.to("cuda" if torch.cuda.is_available() else "cpu"),
        _advancing(batches, advance),
        special_ids=tokenizer.all_special_ids,
        mask_id=tokenizer.mask_token_id,
        seed=seed,
    )
    model.to("cpu")


def _advancing(
    batches: Iterable[tuple[Tensor, Tensor]], advance: Callable[[], None]
) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in batches:
        yield batch
        advance()
