from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from distill.distillation.loop import objective_losses
from distill.distillation.objectives import SIMILARITY_TEMPERATURE, embedding_loss, hidden_loss, relation_loss
from distill.distillation.states import States
from distill.recipe import ObjectivesSection
from distill.teacher.pooling import pool

LENGTHS = [5, 3, 1]
MASK = torch.tensor([[1] * length + [0] * (5 - length) for length in LENGTHS])
# Float32 arithmetic against float64 loops.
CLOSE = {"rel": 1e-4, "abs": 1e-6}

Vector = list[float]


def random_states(seed: int, width: int = 8, count: int = 3, scale: float = 1.0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 5, width, generator=draw) * scale for _ in range(count)]


def dot(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def unit(vector: Vector) -> Vector:
    return [value / math.sqrt(dot(vector, vector)) for value in vector]


def softmax(scores: Vector) -> Vector:
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return [value / sum(exponentials) for value in exponentials]


def divergence(target: Vector, own: Vector) -> float:
    return sum(p * math.log(p / q) for p, q in zip(target, own, strict=True) if p > 0)


def tokens_of(states: Tensor) -> list[list[Vector]]:
    """The vectors of each sequence's real tokens."""
    return [sequence[:length] for sequence, length in zip(states.double().tolist(), LENGTHS, strict=True)]


def hidden_by_hand(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> float:
    layers = []
    for own, target in zip(student, teacher, strict=True):
        own_tokens, target_tokens = ([t for sequence in tokens_of(states) for t in sequence] for states in (own, target))
        mean = [sum(token[d] for token in target_tokens) / len(target_tokens) for d in range(target.shape[-1])]
        variance = sum((x - m) ** 2 for token in target_tokens for x, m in zip(token, mean, strict=True))
        error = sum((a - b) ** 2 for s, t in zip(own_tokens, target_tokens, strict=True) for a, b in zip(s, t, strict=True))
        layers.append(error / variance)
    return sum(layers) / len(layers)


def relations_by_hand(student: Sequence[Tensor], teacher: Sequence[Tensor], heads: int) -> float:
    def relation(sequence: list[Vector], head: int, query: int) -> Vector:
        width = len(sequence[0]) // heads
        split = [token[head * width : (head + 1) * width] for token in sequence]
        return softmax([dot(split[query], key) / math.sqrt(width) for key in split])

    total = 0.0
    for own, target in zip(student, teacher, strict=True):
        for own_sequence, target_sequence in zip(tokens_of(own), tokens_of(target), strict=True):
            for head in range(heads):
                for query in range(len(own_sequence)):
                    total += divergence(relation(target_sequence, head, query), relation(own_sequence, head, query))
    return total / (len(student) * heads * sum(LENGTHS))


def embedding_by_hand(student: Tensor, teacher: Tensor) -> float:
    own, target = ([unit(vector) for vector in vectors.double().tolist()] for vectors in (student, teacher))
    apart = sum(1 - dot(a, b) for a, b in zip(own, target, strict=True)) / len(own)

    def ranking(vectors: list[Vector], i: int) -> Vector:
        return softmax([dot(vectors[i], v) / SIMILARITY_TEMPERATURE for j, v in enumerate(vectors) if j != i])

    return apart + sum(divergence(ranking(target, i), ranking(own, i)) for i in range(len(own))) / len(own)


def test_hidden_loss_is_the_error_as_a_share_of_the_teachers_variance() -> None:
    student, teacher = random_states(0), random_states(1, scale=3.0)
    assert hidden_loss(student, teacher, MASK).item() == pytest.approx(hidden_by_hand(student, teacher), **CLOSE)


@pytest.mark.parametrize("scale", [1e-2, 1e2])
def test_hidden_loss_does_not_depend_on_the_scale_of_the_states(scale: float) -> None:
    student, teacher = random_states(0), random_states(1)
    scaled = hidden_loss([s * scale for s in student], [t * scale for t in teacher], MASK)
    assert scaled.item() == pytest.approx(hidden_loss(student, teacher, MASK).item(), rel=1e-4)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("widths", [(8, 8), (8, 16), (16, 8), (4, 12)])
def test_relation_loss_is_the_divergence_of_the_relations_whatever_the_widths(heads: int, widths: tuple[int, int]) -> None:
    student, teacher = random_states(0, widths[0]), random_states(1, widths[1])
    assert relation_loss(student, teacher, MASK, heads).item() == pytest.approx(
        relations_by_hand(student, teacher, heads), **CLOSE
    )


def test_relation_loss_diverges_from_the_teacher_to_the_student_and_not_the_other_way() -> None:
    one, other = random_states(0), random_states(1)
    assert relation_loss(one, other, MASK, 2).item() != pytest.approx(relation_loss(other, one, MASK, 2).item(), rel=1e-3)


@pytest.mark.parametrize("count", [3, 6])
def test_embedding_loss_is_the_cosine_distance_and_the_divergence_of_the_similarities(count: int) -> None:
    draw = torch.Generator().manual_seed(2)
    teacher = torch.randn(count, 8, generator=draw) + 3  # like E5's, all close together
    student = teacher + 0.3 * torch.randn(count, 8, generator=draw)
    assert embedding_loss(student, teacher).item() == pytest.approx(embedding_by_hand(student, teacher), **CLOSE)


@pytest.mark.parametrize("count", [1, 2])
def test_embedding_loss_of_one_or_two_vectors_is_the_cosine_distance_alone(count: int) -> None:
    student, teacher = random_states(0)[0][:count, 0], random_states(1)[0][:count, 0]
    cosines = [dot(unit(a), unit(b)) for a, b in zip(student.double().tolist(), teacher.double().tolist(), strict=True)]
    assert embedding_loss(student, teacher).item() == pytest.approx(1 - sum(cosines) / count, **CLOSE)


def test_every_objective_is_zero_where_student_and_teacher_agree() -> None:
    states = random_states(0)
    assert hidden_loss(states, states, MASK).item() == 0
    assert relation_loss(states, states, MASK, 2).item() == pytest.approx(0, abs=1e-6)
    assert embedding_loss(states[0][:, 0], states[0][:, 0]).item() == pytest.approx(0, abs=1e-5)


def test_embedding_loss_does_not_see_the_length_of_the_vectors() -> None:
    student, teacher = random_states(0)[0][:, 0], random_states(1)[0][:, 0]
    assert embedding_loss(student * 7, teacher / 7).item() == pytest.approx(embedding_loss(student, teacher).item(), rel=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_takes_the_mean_of_the_tokens_or_the_first(pooling: str) -> None:
    (states,) = random_states(0, count=1)
    for own, tokens in zip(pool(states, MASK, pooling).tolist(), tokens_of(states), strict=True):
        expected = tokens[0] if pooling == "cls" else [sum(column) / len(tokens) for column in zip(*tokens, strict=True)]
        assert own == pytest.approx(expected, **CLOSE)


def both(student_seed: int = 0, teacher_seed: int = 1) -> tuple[States, States]:
    """A student of two layers and a teacher of four."""
    student = States(hidden=tuple(random_states(student_seed)), projections=tuple(random_states(student_seed + 10)))
    teacher = States(hidden=tuple(random_states(teacher_seed, count=5)), projections=tuple(random_states(teacher_seed + 10)))
    return student, teacher


def losses(student: States, teacher: States, **weights: float) -> dict[str, Tensor]:
    chosen = ObjectivesSection(**{"hidden": 1, "relations": 1, "embedding": 1} | weights)
    return objective_losses(student, teacher, MASK, weights=chosen, layers=[2, 4], heads=2, pooling="mean")


def test_each_student_layer_imitates_the_teacher_layer_it_stands_for() -> None:
    student, teacher = both()
    expected = hidden_by_hand(student.hidden[1:], [teacher.hidden[2], teacher.hidden[4]])
    assert losses(student, teacher)["hidden"].item() == pytest.approx(expected, **CLOSE)


def test_an_objective_without_a_weight_is_not_computed() -> None:
    assert losses(*both(), relations=0, embedding=0).keys() == {"hidden"}
    assert losses(*both(), hidden=0).keys() == {"relations", "embedding"}


@pytest.mark.parametrize("name", ["hidden", "relations", "embedding"])
def test_what_stands_on_padding_changes_no_objective(name: str) -> None:
    student, teacher = both()
    before = losses(student, teacher)[name]
    for states in (*student.hidden, *student.projections, *teacher.hidden, *teacher.projections):
        states[MASK == 0] = 100 * torch.randn(int((MASK == 0).sum()), 8)
    assert torch.equal(losses(student, teacher)[name], before)


@pytest.mark.parametrize("name", ["hidden", "relations", "embedding"])
def test_the_gradient_reaches_the_student_at_every_token_and_never_at_padding(name: str) -> None:
    student, teacher = both()
    learning = {"relations": student.projections, "hidden": student.hidden[1:], "embedding": student.hidden[-1:]}[name]
    for states in learning:
        states.requires_grad_()
    losses(student, teacher)[name].backward()  # type: ignore[no-untyped-call]
    for states in learning:
        assert states.grad is not None
        flows = states.grad.abs().sum(-1) > 0
        # A token alone in its sequence relates to nothing but itself.
        expected = (MASK == 1) & (MASK.sum(-1, keepdim=True) > 1) if name == "relations" else MASK == 1
        assert torch.equal(flows, expected)


@pytest.mark.parametrize("name", ["hidden", "relations", "embedding"])
def test_a_step_against_the_gradient_lowers_the_loss(name: str) -> None:
    student, teacher = both()
    learning = [*student.hidden, *student.projections]
    for states in learning:
        states.requires_grad_()
    before = losses(student, teacher)[name]
    before.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for states in learning:
            if states.grad is not None:
                states -= 0.01 * states.grad
        assert losses(student, teacher)[name] < before


def test_losses_are_computed_in_float32_whatever_the_models_ran_in() -> None:
    student, teacher = both()
    half = [
        States(hidden=tuple(h.bfloat16() for h in s.hidden), projections=tuple(p.bfloat16() for p in s.projections))
        for s in (student, teacher)
    ]
    assert {loss.dtype for loss in losses(*half).values()} == {torch.float32}
