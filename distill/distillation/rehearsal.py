"""How fast a distillation will go here: two configurations go in; tokens a second of whole steps at
training precision come out, without weights or text.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.distillation.loop import Pair, needs_eager, open_loop, prepared
from distill.distillation.step import Backward
from distill.recipe import DistillationSection
from distill.runtime.precision import choose_precision
from distill.runtime.runtime import Runtime
from distill.training.batches import Masking
from distill.training.chunks import Chunks

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCHES, _SPECIAL, _SECONDS = 16, 4, 10.0
_PIECES_A_WORD = 1.65
"""Of a trimmed multilingual vocabulary."""


def rehearse_distillation(
    section: DistillationSection,
    *,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    layers: list[int],
    pooling: str,
    longest: int,
    runtime: Runtime,
) -> tuple[float, str]:
    """Tokens a second of steps over random pieces, optimiser included, and in which precision.

    The models may have random weights; their vocabularies must be of one size. `layers` are those
    of the teacher that the student's stand for, `longest` the tokens that both can read.
    """
    device = runtime.device
    precision = choose_precision(section.precision, device)
    chunks = _random_chunks(section, min(longest, section.block_tokens), student.config.vocab_size)
    pair = Pair(
        student=student, teacher=teacher, tokenizer=tokenizer, layers=layers, pooling=pooling
    )
    eager = needs_eager(section, chunks, device)
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(pair, precision, device, eager=eager) as (taught, reader),
    ):
        models = replace(pair, student=taught, teacher=reader)
        checkpoint = Path(folder) / "checkpoint"
        criterion, loop = open_loop(models, chunks, section, precision, checkpoint, runtime)
        masking = Masking(
            share=section.masking if section.objectives.masked else 0.0,
            mask_id=student.config.vocab_size - 1,
            special_ids=frozenset(range(_SPECIAL)),
            vocabulary_size=student.config.vocab_size,
            seed=runtime.seed,
        )
        with criterion.open():
            first = np.arange(min(len(chunks), 8))
            batch = masking.batch(chunks, first, pair.padding, epoch=0).to(device)
            with torch.no_grad():
                criterion.calibrate([(batch, criterion.read_teacher(batch))])
            backward = Backward(
                criterion,
                chunks,
                masking,
                padding=pair.padding,
                device=device,
                processes=runtime.processes,
            )
            return loop.rehearsed_rate(backward, _SECONDS), precision


def _random_chunks(section: DistillationSection, longest: int, vocabulary: int) -> Chunks:
    """Chunks of as many tokens as text would make, of pieces that are drawn."""
    draw = np.random.default_rng(0)
    tokens = _BATCHES * section.batch_tokens
    if words := section.words_of_chunks:
        mean = _PIECES_A_WORD * sum(words) / 2 + _SPECIAL
        drawn = draw.integers(*words, size=int(tokens / mean) + 1, endpoint=True)
        lengths = np.minimum((drawn * _PIECES_A_WORD).astype(np.int64) + _SPECIAL, longest)
    else:
        lengths = np.full(tokens // longest + 1, longest)
    ids = draw.integers(_SPECIAL, vocabulary, size=int(lengths.sum())).astype(np.uint32)
    return Chunks(ids=ids, offsets=np.concatenate([[0], np.cumsum(lengths)]))
