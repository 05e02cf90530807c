"""Every objective against a few lines of numpy in float64, which share no code with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from distill.distillation.objectives.attention import attention_loss
from distill.distillation.objectives.embedding import (
    SIMILARITY_TEMPERATURE,
    embedding_loss,
    matryoshka_loss,
)
from distill.distillation.objectives.hidden import SquaredError, hidden_loss
from distill.distillation.objectives.logits import logit_loss
from distill.distillation.objectives.mlm import mlm_loss
from distill.distillation.objectives.projector import Projector
from distill.distillation.objectives.relations import relation_loss
from distill.models.after_pooling import AfterPooling

# Float32 arithmetic against float64.
CLOSE: dict[str, Any] = {"rel": 1e-4, "abs": 1e-6}
MASK = torch.tensor([[1] * length + [0] * (5 - length) for length in (5, 3, 1)])
BATCHES, LENGTH = 3, 5

seeds = st.integers(0, 2**31)
masks = st.lists(
    st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH).filter(any),
    min_size=BATCHES,
    max_size=BATCHES,
).map(lambda rows: torch.tensor(rows).long())
"""Padding anywhere in a row, with one token at least."""
few = settings(max_examples=25)


def random_states(seed: int, width: int = 8, count: int = 3, scale: float = 1.0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCHES, LENGTH, width, generator=draw) * scale for _ in range(count)]


def random_logits(seed: int, masked: int = 6, pieces: int = 11) -> tuple[Tensor, Tensor]:
    student, teacher = 3 * torch.randn(
        2, masked, pieces, generator=torch.Generator().manual_seed(seed)
    )
    return student, teacher


def random_attentions(seed: int, heads: int = 2, count: int = 2) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randn(BATCHES, heads, LENGTH, LENGTH, generator=draw).softmax(-1)
        for _ in range(count)
    ]


def doubles(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


def divergence(target: np.ndarray, own: np.ndarray) -> np.ndarray:
    """KL(softmax(target) ‖ softmax(own)) along the last axis."""
    return (softmax(target) * np.log(softmax(target) / softmax(own))).sum(-1)


def rows_of(states: Tensor, mask: Tensor) -> list[np.ndarray]:
    """The real tokens of each row."""
    return [doubles(row)[kept.numpy() == 1] for row, kept in zip(states, mask, strict=True)]


def hidden_by_hand(student: list[Tensor], teacher: list[Tensor], mask: Tensor) -> float:
    pairs = [
        (np.concatenate(rows_of(s, mask)), np.concatenate(rows_of(t, mask)))
        for s, t in zip(student, teacher, strict=True)
    ]
    return float(np.mean([((s - t) ** 2).sum() / ((t - t.mean(0)) ** 2).sum() for s, t in pairs]))


def relations_by_hand(
    student: list[Tensor], teacher: list[Tensor], mask: Tensor, heads: int
) -> float:
    def scores(tokens: np.ndarray) -> list[np.ndarray]:
        return [head @ head.T / np.sqrt(head.shape[1]) for head in np.split(tokens, heads, axis=1)]

    found = [
        divergence(target, own)
        for s, t in zip(student, teacher, strict=True)
        for own_row, target_row in zip(rows_of(s, mask), rows_of(t, mask), strict=True)
        for own, target in zip(scores(own_row), scores(target_row), strict=True)
    ]
    return float(np.concatenate(found).mean())


def embedding_by_hand(student: Tensor, teacher: Tensor) -> float:
    own, target = (
        doubles(v) / np.linalg.norm(doubles(v), axis=1, keepdims=True) for v in (student, teacher)
    )
    others = ~np.eye(len(own), dtype=bool)
    ranked = [
        (v @ v.T / SIMILARITY_TEMPERATURE)[others].reshape(len(own), -1) for v in (target, own)
    ]
    return float((1 - (own * target).sum(1)).mean() + divergence(*ranked).mean())


def attention_by_hand(student: list[Tensor], teacher: list[Tensor], mask: Tensor) -> float:
    layers = []
    for s, t in zip(student, teacher, strict=True):
        real = [kept.numpy() == 1 for kept in mask]
        squares = [
            ((doubles(a) - doubles(b)) ** 2)[:, kept][:, :, kept]
            for a, b, kept in zip(s, t, real, strict=True)
        ]
        layers.append(
            np.concatenate([square.mean((0, 2)) for square in squares]).mean()
        )  # over heads and keys, then queries
    return float(np.mean(layers))


@few
@given(seeds, masks.filter(lambda mask: mask.sum() > 1), st.sampled_from([0.1, 1.0, 30.0]))
def test_hidden_loss_is_the_error_as_a_share_of_the_teachers_variance(
    seed: int, mask: Tensor, scale: float
) -> None:
    student, teacher = random_states(seed), random_states(seed + 1, scale=scale)
    assert hidden_loss(student, teacher, mask).item() == pytest.approx(
        hidden_by_hand(student, teacher, mask), **CLOSE
    )


def test_hidden_loss_takes_the_variances_that_it_is_given() -> None:
    student, teacher = random_states(0), random_states(1)
    errors = [
        ((np.concatenate(rows_of(s, MASK)) - np.concatenate(rows_of(t, MASK))) ** 2).sum(1).mean()
        for s, t in zip(student, teacher, strict=True)
    ]
    expected = np.mean(np.array(errors) / [2.0, 3.0, 5.0])
    assert hidden_loss(student, teacher, MASK, [2.0, 3.0, 5.0]).item() == pytest.approx(
        expected, **CLOSE
    )


def test_the_gradient_of_the_squared_error_is_that_of_its_definition() -> None:
    own, target, weight = random_states(0)[0], random_states(1)[0], MASK.unsqueeze(-1).float()
    gradients = []
    for value in (
        lambda states: SquaredError.apply(states, target, weight),
        lambda states: ((states - target).square() * weight).sum(),
    ):
        states = own.clone().requires_grad_()
        (3.0 * value(states)).backward()
        assert states.grad is not None
        gradients.append(states.grad)
    assert torch.allclose(*gradients, rtol=1e-5)
    assert not gradients[0][MASK == 0].any()


@pytest.mark.parametrize("scale", [1e-2, 1e2])
def test_hidden_loss_does_not_depend_on_the_scale_of_the_states(scale: float) -> None:
    student, teacher = random_states(0), random_states(1)
    scaled = hidden_loss([s * scale for s in student], [t * scale for t in teacher], MASK)
    assert scaled.item() == pytest.approx(hidden_loss(student, teacher, MASK).item(), rel=1e-4)


@few
@given(
    seeds, masks, st.sampled_from([1, 2, 4]), st.sampled_from([(8, 8), (8, 16), (16, 8), (4, 12)])
)
def test_relation_loss_is_the_divergence_of_the_relations_whatever_the_widths(
    seed: int, mask: Tensor, heads: int, widths: tuple[int, int]
) -> None:
    student, teacher = random_states(seed, widths[0]), random_states(seed + 1, widths[1])
    expected = relations_by_hand(student, teacher, mask, heads)
    assert relation_loss(student, teacher, mask, heads).item() == pytest.approx(expected, **CLOSE)


def test_relation_loss_diverges_from_the_teacher_to_the_student_and_not_the_other_way() -> None:
    one, other = random_states(0), random_states(1)
    assert relation_loss(one, other, MASK, 2).item() != pytest.approx(
        relation_loss(other, one, MASK, 2).item(), rel=1e-3
    )


@few
@given(seeds, st.integers(3, 8))
def test_embedding_loss_is_the_cosine_distance_and_the_divergence_of_the_similarities(
    seed: int, count: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    teacher = torch.randn(count, 8, generator=draw) + 3  # like E5's, all close together
    student = teacher + 0.3 * torch.randn(count, 8, generator=draw)
    assert embedding_loss(student, teacher).item() == pytest.approx(
        embedding_by_hand(student, teacher), **CLOSE
    )


@pytest.mark.parametrize("count", [1, 2])
def test_embedding_loss_of_one_or_two_vectors_is_the_cosine_distance_alone(count: int) -> None:
    student, teacher = random_states(0)[0][:count, 0], random_states(1)[0][:count, 0]
    own, target = doubles(student), doubles(teacher)
    cosines = (own * target).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(target, axis=1)
    assert embedding_loss(student, teacher).item() == pytest.approx(1 - cosines.mean(), **CLOSE)


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_a_teacher_that_compares_lengths_too_is_imitated_in_them(similarity: str) -> None:
    draw = torch.Generator().manual_seed(2)
    teacher = torch.randn(6, 8, generator=draw)
    assert embedding_loss(teacher, teacher, similarity).item() == pytest.approx(0, abs=1e-5)
    assert embedding_loss(teacher * 2, teacher, similarity).item() > 0.5
    student = torch.randn(6, 8, generator=draw)
    scaled = embedding_loss(student * 9, teacher * 9, similarity)
    assert scaled.item() == pytest.approx(
        embedding_loss(student, teacher, similarity).item(), rel=1e-4
    )


def test_unit_vectors_products_are_their_cosines() -> None:
    draw = torch.Generator().manual_seed(3)
    student, teacher = (
        torch.nn.functional.normalize(torch.randn(6, 8, generator=draw), dim=-1) for _ in range(2)
    )
    by_product, by_cosine = (embedding_loss(student, teacher, by) for by in ("dot", "cosine"))
    assert by_product.item() == pytest.approx(by_cosine.item(), rel=1e-4)


def test_vectors_that_may_be_cut_are_imitated_at_each_length() -> None:
    draw = torch.Generator().manual_seed(4)
    student, teacher = (torch.randn(6, 8, generator=draw) for _ in range(2))
    after = AfterPooling(dimensions=[2, 4, 16])
    parts = [embedding_loss(student[:, :cut], teacher[:, :cut]).item() for cut in (8, 2, 4)]
    found = matryoshka_loss(student, teacher, after).item()
    assert found == pytest.approx(sum(parts) / 3, rel=1e-5)


def test_embedding_loss_does_not_see_the_length_of_the_vectors() -> None:
    student, teacher = random_states(0)[0][:, 0], random_states(1)[0][:, 0]
    assert embedding_loss(student * 7, teacher / 7).item() == pytest.approx(
        embedding_loss(student, teacher).item(), rel=1e-4
    )


@few
@given(seeds, masks)
def test_attention_loss_is_the_mean_squared_error_over_heads_and_real_tokens(
    seed: int, mask: Tensor
) -> None:
    student, teacher = random_attentions(seed), random_attentions(seed + 1)
    assert attention_loss(student, teacher, mask).item() == pytest.approx(
        attention_by_hand(student, teacher, mask), **CLOSE
    )


def test_attention_loss_of_two_parts_adds_up_to_the_wholes_by_their_tokens() -> None:
    student, teacher = random_attentions(0), random_attentions(1)
    parts = [
        attention_loss([s[rows] for s in student], [t[rows] for t in teacher], MASK[rows]).item()
        * MASK[rows].sum().item()
        for rows in (slice(0, 1), slice(1, 3))
    ]
    assert attention_loss(student, teacher, MASK).item() == pytest.approx(
        sum(parts) / MASK.sum().item(), **CLOSE
    )


def test_attention_loss_ignores_infinite_scores_on_padding() -> None:
    student, teacher = random_attentions(0), random_attentions(1)
    before = attention_loss(student, teacher, MASK)
    for layer in (*student, *teacher):
        layer.transpose(1, 3)[MASK == 0] = -torch.inf
    student = [layer.requires_grad_() for layer in student]
    after = attention_loss(student, teacher, MASK)
    after.backward()  # type: ignore[no-untyped-call]
    assert torch.equal(after, before)
    assert all(layer.grad is not None and layer.grad.isfinite().all() for layer in student)


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        ([], [], "attentions of 0 student layers"),
        (
            random_attentions(0),
            random_attentions(1)[:1],
            "2 student layers can't be compared with those of 1",
        ),
        (
            random_attentions(0, heads=2),
            random_attentions(1, heads=4),
            "the student has 2 heads, the teacher 4",
        ),
    ],
)
def test_attention_loss_refuses_what_cannot_be_compared(
    student: list[Tensor], teacher: list[Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        attention_loss(student, teacher, MASK)


@few
@given(seeds, st.sampled_from([0.5, 1.0, 2.0, 8.0]))
def test_logit_loss_is_the_divergence_at_the_temperature_times_its_square(
    seed: int, temperature: float
) -> None:
    student, teacher = random_logits(seed)
    expected = (
        divergence(doubles(teacher) / temperature, doubles(student) / temperature).mean()
        * temperature**2
    )
    assert logit_loss(student, teacher, kind="kl", temperature=temperature).item() == pytest.approx(
        expected, **CLOSE
    )


@few
@given(seeds)
def test_logit_loss_is_the_squared_error_of_centred_logits(seed: int) -> None:
    student, teacher = random_logits(seed)
    own, target = (
        doubles(logits) - doubles(logits).mean(1, keepdims=True) for logits in (student, teacher)
    )
    expected = ((own - target) ** 2).mean()
    assert logit_loss(student, teacher, kind="mse", temperature=2.0).item() == pytest.approx(
        expected, **CLOSE
    )


@pytest.mark.parametrize("kind", ["kl", "mse"])
def test_a_constant_added_to_all_logits_of_a_position_changes_nothing(kind: Any) -> None:
    student, teacher = random_logits(0)
    shifted = logit_loss(
        student + torch.arange(6.0)[:, None], teacher - 4, kind=kind, temperature=2.0
    )
    assert shifted.item() == pytest.approx(
        logit_loss(student, teacher, kind=kind, temperature=2.0).item(), **CLOSE
    )


def test_at_a_high_temperature_the_divergence_is_half_the_squared_error() -> None:
    student, teacher = (logits.double() for logits in random_logits(0))
    divergence_then = logit_loss(student, teacher, kind="kl", temperature=100.0).item()
    # Float32 keeps three digits of a divergence this small, and the limit is off by about 1/T.
    assert divergence_then == pytest.approx(
        logit_loss(student, teacher, kind="mse", temperature=1.0).item() / 2, rel=0.03
    )


@few
@given(seeds)
def test_mlm_loss_is_the_cross_entropy_of_the_masked_pieces(seed: int) -> None:
    logits, _ = random_logits(seed)
    labels = torch.randint(11, (6,), generator=torch.Generator().manual_seed(seed))
    expected = -np.log(softmax(doubles(logits))[np.arange(6), labels.numpy()]).mean()
    assert mlm_loss(logits, labels).item() == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize(
    "loss",
    [
        lambda none: logit_loss(none, none.detach(), kind="kl", temperature=2.0),
        lambda none: logit_loss(none, none.detach(), kind="mse", temperature=2.0),
        lambda none: mlm_loss(none, torch.zeros(0, dtype=torch.long)),
    ],
    ids=["kl", "mse", "mlm"],
)
def test_where_nothing_is_masked_the_loss_is_zero_with_a_gradient(
    loss: Callable[[Tensor], Tensor],
) -> None:
    weights = torch.ones(4, 11, requires_grad=True)
    value = loss(torch.zeros(0, 4) @ weights)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert weights.grad is not None and torch.equal(weights.grad, torch.zeros(4, 11))


# All of them, each as a function of what the student gives and the teacher gives, in this form.
STATES: dict[str, Callable[[list[Tensor], list[Tensor]], Tensor]] = {
    "hidden": lambda own, target: hidden_loss(own, target, MASK),
    "relations": lambda own, target: relation_loss(own, target, MASK, 2),
    "embedding": lambda own, target: embedding_loss(own[0][:, 0], target[0][:, 0]),
    "attention": lambda own, target: attention_loss(
        _as_attentions(own), _as_attentions(target), MASK
    ),
    "kl": lambda own, target: logit_loss(
        own[0][MASK == 1], target[0][MASK == 1], kind="kl", temperature=2.0
    ),
    "mse": lambda own, target: logit_loss(
        own[0][MASK == 1], target[0][MASK == 1], kind="mse", temperature=2.0
    ),
    "mlm": lambda own, target: mlm_loss(own[0][MASK == 1], target[0][MASK == 1].argmax(-1)),
}
every_objective = pytest.mark.parametrize("name", STATES)


def _as_attentions(states: list[Tensor]) -> list[Tensor]:
    return [layer[:, None, :, :LENGTH] for layer in states]


@every_objective
def test_a_step_against_the_gradient_lowers_the_loss(name: str) -> None:
    student, teacher = random_states(0), random_states(1)
    for states in student:
        states.requires_grad_()
    before = STATES[name](student, teacher)
    before.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for states in student:
            if states.grad is not None:
                states -= 0.01 * states.grad
        assert STATES[name](student, teacher) < before


@every_objective
def test_what_stands_on_padding_changes_no_objective(name: str) -> None:
    student, teacher = random_states(0), random_states(1)
    before = STATES[name](student, teacher)
    for states in (*student, *teacher):
        states[MASK == 0] = 100 * torch.randn(int((MASK == 0).sum()), 8)
    assert torch.equal(STATES[name](student, teacher), before)


@pytest.mark.parametrize("name", ["hidden", "relations"])
def test_the_gradient_reaches_the_student_at_every_token_and_never_at_padding(name: str) -> None:
    student, teacher = random_states(0), random_states(1)
    for states in student:
        states.requires_grad_()
    STATES[name](student, teacher).backward()  # type: ignore[no-untyped-call]
    # A token alone in its sequence relates to nothing but itself.
    expected = (MASK == 1) & (MASK.sum(-1, keepdim=True) > 1) if name == "relations" else MASK == 1
    for states in student:
        assert states.grad is not None and torch.equal(states.grad.abs().sum(-1) > 0, expected)


@pytest.mark.parametrize("name", [name for name in STATES if name != "mlm"])
def test_an_objective_is_zero_where_student_and_teacher_agree(name: str) -> None:
    states = random_states(0)
    assert STATES[name](states, states).item() == pytest.approx(0, abs=1e-5)


@every_objective
def test_losses_are_computed_in_float32_whatever_the_models_ran_in(name: str) -> None:
    half = [[states.bfloat16() for states in random_states(seed)] for seed in (0, 1)]
    single = [[states.float() for states in model] for model in half]
    assert torch.equal(STATES[name](*half), STATES[name](*single))
    assert STATES[name](*half).dtype == torch.float32


def projector(seed: int = 0) -> Projector:
    found = Projector.between(8, 12, layers=3, seed=seed)
    assert found is not None
    return found


def test_a_projector_maps_each_layer_and_the_pooled_state_by_a_matrix_of_its_own() -> None:
    own, states = projector(), random_states(0)
    mapped = [*own(states), own.map_pooled(states[-1])]
    matrices = [*own.layers, own.pooled]
    for found, layer, matrix in zip(mapped, [*states, states[-1]], matrices, strict=True):
        assert found.detach().numpy() == pytest.approx(
            doubles(layer) @ doubles(matrix).T, rel=1e-4, abs=1e-5
        )
    assert len({matrix[0, 0].item() for matrix in matrices}) == 4


def test_a_projector_begins_by_keeping_lengths_and_angles() -> None:
    for matrix in projector().parameters():
        assert (matrix.T @ matrix).detach().numpy() == pytest.approx(np.eye(8), abs=1e-5)


def test_a_projector_is_the_same_for_the_same_seed_and_leaves_the_global_random_state_alone() -> (
    None
):
    before = torch.get_rng_state()
    one, same, other = projector(1), projector(1), projector(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.pooled, same.pooled) and all(map(torch.equal, one.layers, same.layers))
    assert not torch.equal(one.pooled, other.pooled)


def test_every_matrix_of_a_projector_learns() -> None:
    own, states = projector(), random_states(0)
    (sum(layer.sum() for layer in own(states)) + own.map_pooled(states[-1]).sum()).backward()
    assert all(
        matrix.grad is not None and matrix.grad.abs().sum() > 0 for matrix in own.parameters()
    )


def test_states_of_equal_width_need_no_projector() -> None:
    assert Projector.between(8, 8, layers=3, seed=0) is None
