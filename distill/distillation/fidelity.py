"""How close a student is to its teacher on held-out text: the objectives, and a few numbers that
need no labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from distill.distillation.criterion import Criterion
from distill.distillation.states import States
from distill.models.after_pooling import compare
from distill.models.pooling import pool
from distill.models.task_heads import NUMBERS, TaskHead, predictions
from distill.training.batches import Batch, Masking
from distill.training.chunks import Chunks

_MAX_TOKENS = 12_000
_BATCH_TOKENS = 2048
_CENTRED_ROWS = 3
"""Fewer rows have no mean that could be taken out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Held-out batches with what the teacher makes of them."""

    batches: list[tuple[Batch, States]]
    pooled: torch.Tensor
    """Its sentence vectors, a row each."""
    piece_bytes: torch.Tensor
    """How many bytes of text each piece stands for."""


@torch.no_grad()
def make_reference(
    criterion: Criterion,
    heldout: Chunks,
    masking: Masking,
    piece_bytes: np.ndarray,
    padding: int,
    device: torch.device,
) -> Reference:
    """The teacher's states on the first held-out chunks, up to about 12,000 tokens."""
    count = int(np.searchsorted(np.cumsum(heldout.lengths), _MAX_TOKENS)) + 1
    rows = np.argsort(heldout.lengths[:count], kind="stable")
    batches, start = [], 0
    while start < len(rows):
        size = max(1, _BATCH_TOKENS // int(heldout.lengths[rows[start]]))
        batch = masking.batch(heldout, rows[start : start + size], padding, epoch=0).to(device)
        batches.append((batch, criterion.read_teacher(batch)))
        start += size
    return Reference(
        batches=batches,
        pooled=torch.cat([criterion.vectors(states.last, batch) for batch, states in batches]),
        piece_bytes=torch.from_numpy(piece_bytes).to(device),
    )


@torch.no_grad()
def measure_fidelity(criterion: Criterion, reference: Reference) -> dict[str, float]:
    """The objective, and how near the student is to its teacher; means over the reference.

    `hidden_cosine` and `pooled_cosine` compare the last hidden states and the pooled vectors, where
    a student of another width is mapped to the teacher's (absent if nothing maps it); both lie in a
    narrow cone, where random weights come near, so that `hidden_centred_cosine` and
    `pooled_centred_cosine` compare what is left when the mean of each set is taken out;
    `neighbour_agreement` is the share of chunks whose nearest other chunk is the same for both, by
    the teacher's own similarity; `pooled_cosine_64` and the like are those of vectors that are cut
    where the teacher's may be;
    `bits_per_byte`, where pieces are masked, what those cost a byte of their text;
    `answer_agreement`, where a fine-tuned head's answers are compared, the share of texts (of tags,
    tokens) that the student answers as the teacher does; `answer_correlation`, where they are
    numbers or scores, Pearson's of the two.
    """
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    nats = size = 0.0
    pooled, mapped = [], None
    states: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    answers = answered = 0.0
    scores: list[torch.Tensor] = []
    for batch, target in reference.batches:
        student = criterion.read_student(batch)
        counted = criterion.counts(batch)
        for name, value in criterion.values(student, target, batch).items():
            sums[name] = sums.get(name, 0.0) + float(value) * counted[name]
            counts[name] = counts.get(name, 0.0) + counted[name]
        mapped = criterion.project_to_teacher(student)
        if mapped is not None:
            real = batch.mask.bool()
            states.append(mapped[real].float())
            wanted.append(target.last[real].float())
        if criterion.head is not None and criterion.head.labels:
            same = _same_answers(criterion.head, student, target)[_answered(criterion.head, batch)]
            answers, answered = answers + float(same.sum()), answered + same.numel()
        elif criterion.head is not None and criterion.head.task in NUMBERS:
            assert student.answers is not None and target.answers is not None
            scores.append(torch.cat([student.answers, target.answers], dim=1).float())
        last = student.last if mapped is None else mapped
        if mapped is None:
            pooled.append(pool(last.float(), batch.mask, criterion.pooling))
        else:
            pooled.append(criterion.vectors(last, batch))
        if bool(batch.chosen.any()):
            labels = batch.labels[batch.chosen]
            nats += float(
                F.cross_entropy(criterion.predict(student, batch).float(), labels, reduction="sum")
            )
            size += float(reference.piece_bytes[labels].sum())
    vectors, expected, after = torch.cat(pooled), reference.pooled, criterion.after
    weights = criterion.section.objectives.weights
    measured = {
        "objective": sum(
            weights[name] * total / max(1.0, counts[name]) for name, total in sums.items()
        ),
        "neighbour_agreement": _same_neighbours(vectors, expected, after.similarity),
    }
    if mapped is not None:
        measured |= _cosines("hidden", torch.cat(states), torch.cat(wanted))
        measured |= _cosines("pooled", vectors, expected)
        for cut in after.cuts(expected.shape[1]):
            cut_vectors, cut_expected = vectors[:, :cut], expected[:, :cut]
            cosines = F.cosine_similarity(cut_vectors, cut_expected, dim=-1)
            agreement = _same_neighbours(cut_vectors, cut_expected, after.similarity)
            measured[f"pooled_cosine_{cut}"] = float(cosines.mean())
            measured[f"neighbour_agreement_{cut}"] = agreement
    if answered:
        measured["answer_agreement"] = answers / answered
    if scores:
        correlation = float(torch.corrcoef(torch.cat(scores).T)[0, 1])
        measured["answer_correlation"] = correlation if math.isfinite(correlation) else 0.0
    return measured | ({"bits_per_byte": nats / math.log(2) / size} if size else {})


def _cosines(name: str, student: torch.Tensor, teachers: torch.Tensor) -> dict[str, float]:
    """The mean cosine of rows, as they are and, of enough rows to have a mean, with the mean of
    each set taken out.
    """
    cosines = {f"{name}_cosine": float(F.cosine_similarity(student, teachers, dim=-1).mean())}
    if len(student) >= _CENTRED_ROWS:
        student, teachers = student - student.mean(0), teachers - teachers.mean(0)
        centred = F.cosine_similarity(student, teachers, dim=-1)
        cosines[f"{name}_centred_cosine"] = float(centred.mean())
    return cosines


def _same_answers(head: TaskHead, student: States, teacher: States) -> torch.Tensor:
    """Whether the two heads predict the same: texts [B], or of tags [B, L]."""
    assert student.answers is not None and teacher.answers is not None
    same = predictions(student.answers, head) == predictions(teacher.answers, head)
    return same.all(-1) if head.task == "labels" else same


def _answered(head: TaskHead, batch: Batch) -> torch.Tensor:
    """Where a prediction stands."""
    return batch.mask.bool() if head.task == "tags" else torch.ones_like(batch.mask[:, 0]).bool()


def _same_neighbours(student: torch.Tensor, teachers: torch.Tensor, similarity: str) -> float:
    """The share of rows whose nearest other row is the same in both."""
    same = _nearest(student, similarity) == _nearest(teachers, similarity)
    return float(same.float().mean())


def _nearest(vectors: torch.Tensor, similarity: str) -> torch.Tensor:
    if similarity == "cosine":
        vectors = F.normalize(vectors, dim=-1)
    likeness = compare(vectors, vectors, similarity)
    likeness.fill_diagonal_(-torch.inf)
    return likeness.argmax(1)
