"""A student learns what its fine-tuned teacher answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.distillation.criterion import check_objectives
from distill.distillation.loop import Pair, distil
from distill.distillation.objectives.task import task_loss
from distill.distillation.states import StateReader
from distill.models import load_tokenizer
from distill.models.task_heads import NUMBERS, head_logits, without_head
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from distill.training.chunks import Chunks
from tests.models.headed import FAMILIES, HEADS, headed_model
from tests.vocabulary.test_trimming import batch, some_ids

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
CLOSE: dict[str, Any] = {"rel": 1e-4, "abs": 1e-6}


def section(**objectives: float) -> DistillationSection:
    return DistillationSection.model_validate(
        {
            "objectives": {"hidden": 0, "task": 1.0} | objectives,
            "tokens": 4000,
            "batch_tokens": 160,
            "learning_rate": 5e-3,
            "precision": "float32",
        }
    )


def logits(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = 3 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    return student, teacher


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def divergence(own: np.ndarray, target: np.ndarray) -> np.ndarray:
    p, q = softmax(target / 2), softmax(own / 2)
    return (p * np.log(p / q)).sum(-1) * 4


def test_classes_are_compared_by_the_divergence_of_their_softmax() -> None:
    student, teacher = logits(2, 4)
    found = task_loss(student, teacher, MASK, task="classes", temperature=2.0)
    expected = divergence(student.double().numpy(), teacher.double().numpy()).mean()
    assert float(found) == pytest.approx(expected, **CLOSE)


def test_each_label_of_several_is_compared_by_its_two_outcomes() -> None:
    student, teacher = logits(2, 4)
    found = task_loss(student, teacher, MASK, task="labels", temperature=2.0)
    both = [np.stack([one.double().numpy(), np.zeros((2, 4))], -1) for one in (student, teacher)]
    assert float(found) == pytest.approx(divergence(*both).mean(), **CLOSE)


def test_tags_count_where_a_token_stands_and_every_text_the_same() -> None:
    student, teacher = logits(2, 5, 4)
    found = task_loss(student, teacher, MASK, task="tags", temperature=2.0)
    apart = divergence(student.double().numpy(), teacher.double().numpy())
    expected = np.mean([apart[0].mean(), apart[1, :3].mean()])
    assert float(found) == pytest.approx(expected, **CLOSE)


def test_a_spans_start_and_end_are_compared_over_the_texts_tokens() -> None:
    student, teacher = logits(2, 5, 2)
    found = task_loss(student, teacher, MASK, task="answer span", temperature=2.0)
    own, target = student.double().numpy(), teacher.double().numpy()
    rows = [
        divergence(own[row, :length].T, target[row, :length].T) for row, length in enumerate((5, 3))
    ]
    assert float(found) == pytest.approx(np.mean(rows), **CLOSE)


@pytest.mark.parametrize("task", ["number", "pair score"])
def test_numbers_are_compared_by_their_squared_error_in_units_of_their_scale(task: Any) -> None:
    student, teacher = logits(2, 1)
    found = task_loss(student, teacher, MASK, task=task, temperature=2.0, scale=4.0)
    assert float(found) == pytest.approx(float(((student - teacher) ** 2).mean()) / 4, **CLOSE)


def test_the_scale_of_a_teachers_numbers_changes_nothing(
    tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    objectives = []
    for scale in (1.0, 100.0):
        teacher = headed_model("xlm-roberta", "number", vocabulary=len(tokenizer))
        with torch.no_grad():
            for parameter in teacher.classifier.out_proj.parameters():
                parameter.mul_(scale)
        pair = Pair(
            student=keep_layers(teacher, [1]),
            teacher=teacher,
            tokenizer=tokenizer,
            layers=[1],
            pooling="mean",
        )
        short = section().model_copy(update={"tokens": 200})
        state = distil(pair, *chunks, short, checkpoint=tmp_path / str(scale), runtime=Runtime())
        objectives.append(state.fidelity[0]["objective"])
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ["classes", "tags", "answer span"])
def test_states_and_answers_are_read_in_one_pass(family: str, task: str) -> None:
    model = headed_model(family, task)
    ids, _, mask = batch(some_ids())
    with torch.no_grad():
        states = StateReader(model, projections=False, answers=True)(ids, mask)
        alone = StateReader(model, projections=False)(ids, mask)
        expected = head_logits(model(input_ids=ids, attention_mask=mask))
    assert states.answers is not None and torch.equal(states.answers, expected)
    assert len(states.hidden) == 4
    assert all(torch.equal(a, b) for a, b in zip(states.hidden, alone.hidden, strict=True))


@pytest.mark.parametrize("task", HEADS)
def test_a_student_comes_to_answer_as_its_teacher(
    task: str, tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", task, vocabulary=len(tokenizer))
    pair = Pair(
        student=keep_layers(teacher, [1]),
        teacher=teacher,
        tokenizer=tokenizer,
        layers=[1],
        pooling="mean",
    )
    # A number far off its mark overshoots at the others' rate.
    settings = (
        section().model_copy(update={"learning_rate": 1e-3}) if task in NUMBERS else section()
    )
    state = distil(pair, *chunks, settings, checkpoint=tmp_path / "c", runtime=Runtime())
    assert set(state.history[0]) == {"tokens", "loss", "task"}
    assert state.fidelity[-1]["objective"] < 0.8 * state.fidelity[0]["objective"]
    assert ("answer_agreement" in state.fidelity[-1]) == (task in ("classes", "labels", "tags"))


def test_a_teacher_without_a_head_is_refused_in_one_sentence() -> None:
    model = headed_model("bert", "classes")
    bare = without_head(headed_model("bert", "classes"))
    with pytest.raises(ValueError, match="BertModel has no head for a task; fine-tune"):
        check_objectives(section(), bare, bare)
    with pytest.raises(ValueError, match="the student has no head to answer with"):
        check_objectives(section(), bare, model)


def test_heads_that_answer_otherwise_are_refused() -> None:
    one, several = headed_model("bert", "classes"), headed_model("bert", "labels")
    with pytest.raises(
        ValueError, match="answers several labels a text, of 3 and the student one class a text"
    ):
        check_objectives(section(), one, several)
    other = headed_model("bert", "classes")
    other.config.id2label = {0: "fara", 1: "lugn", 2: "annat"}
    with pytest.raises(ValueError, match="have other labels; the student lacks okänt"):
        check_objectives(section(), other, one)


def test_a_task_objective_reads_texts_and_no_packed_blocks() -> None:
    assert section().words_of_chunks == (8, 64)
    with pytest.raises(ValueError, match="cache_teacher keeps states and no answers"):
        DistillationSection.model_validate({"objectives": {"task": 1.0}, "cache_teacher": True})
