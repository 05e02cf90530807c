"""What a fine-tuned teacher answers: its own predictions on unlabelled text."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Models, Objective
from distill.models.task_heads import NUMBERS, HeadTask, TaskHead, head_of


def task_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    mask_BL: torch.Tensor,
    *,
    task: HeadTask,
    temperature: float,
    scale: float | None = None,
) -> torch.Tensor:
    """How far the student's answers are from the teacher's, averaged over texts.

    Logits are [B, N], of tags [B, L, N] (a text's mean over its tokens), of a span [B, L, 2]. One
    class or tag: KL(softmax(teacher / T) ‖ softmax(student / T)) · T² (Hinton et al. 2015, section
    2). Several labels: the same of each label's two outcomes, averaged over labels. A span: of its
    start and of its end over the text's tokens. Numbers and scores: the squared error in units of
    `scale`, the mean square of the teacher's, or else a large one would drown other objectives.
    """
    predicted, target = student.float(), teacher.float()
    real_BL = mask_BL.bool()
    if task in NUMBERS:
        return (predicted - target).square().mean() / (scale or 1.0)
    predicted, target = predicted / temperature, target / temperature
    squared = temperature**2
    if task == "labels":
        return _outcomes(predicted, target).mean() * squared
    if task == "answer span":
        padding_BL1 = ~real_BL[..., None]
        predicted, target = (
            logits.masked_fill(padding_BL1, -1e4) for logits in (predicted, target)
        )
        return _divergence(predicted.transpose(1, 2), target.transpose(1, 2)).mean() * squared
    apart = _divergence(predicted, target)
    if task == "tags":
        apart = (apart * real_BL).sum(-1) / real_BL.sum(-1).clamp_min(1)
    return apart.mean() * squared


def _divergence(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """KL(softmax(target) ‖ softmax(own)) over the last axis."""
    return F.kl_div(
        F.log_softmax(predicted, -1), F.log_softmax(target, -1), log_target=True, reduction="none"
    ).sum(-1)


def _outcomes(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The divergence of each label's holding or not."""
    holds = target.sigmoid()
    return holds * (F.logsigmoid(target) - F.logsigmoid(predicted)) + (1 - holds) * (
        F.logsigmoid(-target) - F.logsigmoid(-predicted)
    )


def _value(pair: Comparison) -> torch.Tensor:
    student, teacher = pair.answers()
    return task_loss(
        student,
        teacher,
        pair.batch.mask,
        task=pair.head.task,
        temperature=pair.section.temperature,
        scale=pair.answer_scale,
    )


def _check(models: Models) -> None:
    key = "distillation.objectives.task"
    teacher, student = head_of(models.teacher), head_of(models.student)
    if teacher is None:
        raise ValueError(
            f"{key}: imitates a fine-tuned teacher's answers, and {type(models.teacher).__name__} "
            "has no head for a task; fine-tune the teacher first, or leave the objective out"
        )
    if student is None:
        raise ValueError(
            f"{key}: the student has no head to answer with (student.head: drop, or a "
            "student.model without one); keep it, or leave the objective out"
        )
    if reason := _mismatch(teacher, student):
        raise ValueError(f"{key}: {reason}")


def _mismatch(teacher: TaskHead, student: TaskHead) -> str | None:
    """Why the answers of two heads cannot be compared, if they can't."""
    if teacher.task != student.task:
        return f"the teacher answers {teacher.words} and the student {student.words}"
    if teacher.labels != student.labels:
        lacking = [name for name in teacher.labels if name not in student.labels]
        named = f"; the student lacks {', '.join(lacking[:5])}" if lacking else " in another order"
        return f"teacher and student have other labels{named}"
    return None


TASK = Objective(
    key="task",
    purpose="imitating the answers of a fine-tuned head",
    paper="Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network",
    arxiv="1503.02531",
    count=lambda batch: float(len(batch.ids)),
    value=_value,
    check=_check,
    answers=True,
)
