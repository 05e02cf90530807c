from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from distill.distillation import loop
from distill.distillation.criterion import Criterion
from distill.distillation.loop import Pair, distil
from distill.distillation.states import States, find_projections
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import DistillationSection
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.interruption import Interruption
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers, untrained_copy
from distill.student.width import narrow
from distill.training import loop as training_loop
from distill.training.checkpoints import SETTLED_STEPS
from distill.training.chunks import Chunks
from distill.training.groups import parameter_groups
from distill.training.schedule import learning_rate_at

LAYERS = [2, 4]
Train = Callable[..., Any]


class StopAfter(Interruption):
    """A user who asks for a stop after so many steps."""

    def __init__(self, steps: float) -> None:
        self.left = steps
        super().__init__()

    @property
    def requested(self) -> bool:  # type: ignore[override]
        """Asked once a step."""
        self.left -= 1
        return self.left < 0.5

    @requested.setter
    def requested(self, value: bool) -> None:
        pass


def section(**values: Any) -> DistillationSection:
    base = {
        "objectives": {"hidden": 1, "relations": 0.5, "embedding": 1},
        "tokens": 4000,
        "batch_tokens": 160,
    }
    return DistillationSection.model_validate(
        {**base, "precision": "float32", "validations": 3, **values}
    )


@pytest.fixture
def train(tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path) -> Train:
    """Trains a student in this process, going on from the checkpoint under `name`: the student, the
    state and the log.
    """

    def train(
        name: str = "checkpoint",
        *,
        stop_after: float = math.inf,
        initial: int | None = None,
        hidden_size: int | None = None,
        **values: Any,
    ) -> Any:
        loaded = load_with_tokenizer(str(tiny_teacher))
        teacher = loaded.model
        example = (torch.tensor([[0, 50, 2]]), torch.ones(1, 3, dtype=torch.long))
        student = narrow(
            keep_layers(teacher, LAYERS),
            hidden_size=hidden_size,
            intermediate_size=None,
            example=example,
        )
        if initial is not None:  # other weights to begin with, which a checkpoint must replace
            student = untrained_copy(student, initial)
        log: list[tuple[int, dict[str, float]]] = []
        try:
            state = distil(
                Pair(
                    student=student,
                    teacher=teacher,
                    tokenizer=loaded.tokenizer,
                    layers=LAYERS,
                    pooling="mean",
                ),
                *chunks,
                section(**values),
                checkpoint=tmp_path / name,
                runtime=Runtime(interruption=StopAfter(stop_after)),
                log=lambda metrics, step: log.append((step, metrics)),
            )
        except Interrupted:
            return None
        return student, state, log

    return train


def weights(student: PreTrainedModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in student.state_dict().items()}


def assert_same_end(resumed: Any, whole: Any) -> None:
    expected = weights(whole[0])
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed[0]).items())
    for name in ("step", "tokens", "epoch", "batch", "loss", "history", "fidelity", "precision"):
        assert getattr(resumed[1], name) == getattr(whole[1], name), name


def test_training_lowers_the_loss_and_raises_fidelity(train: Train) -> None:
    _, state, log = train(tokens=12_000)
    first, last = state.history[0]["loss"], state.history[-1]["loss"]
    assert last < 0.6 * first
    assert state.fidelity[-1]["hidden_cosine"] > state.fidelity[0]["hidden_cosine"]
    assert state.tokens >= 12_000
    assert [step for step, metrics in log if "loss" in metrics] == list(
        range(10, state.step + 1, 10)
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_after_any_checkpoint_and_resumed_it_ends_with_the_same_bits(
    train: Train, precision: str
) -> None:
    whole = train("whole", precision=precision)
    steps = whole[1].step
    half = {steps // 2}  # in bfloat16, which takes a core without it five times as long
    for stop in sorted(half if precision == "bfloat16" else {1, 2, 10, *half, steps - 1, steps}):
        name = f"stopped after {stop}"
        assert train(name, stop_after=stop, precision=precision) is None
        resumed = train(name, initial=stop, precision=precision)
        assert resumed[1].resumed_from == stop
        assert_same_end(resumed, whole)


def test_stopped_again_and_again_it_ends_with_the_same_bits(train: Train) -> None:
    whole, result, tries = train("whole"), None, 0
    while result is None:
        result, tries = train("stopped", stop_after=4, initial=tries or None), tries + 1
    assert tries > 3
    assert_same_end(result, whole)


def test_killed_between_two_checkpoints_it_ends_with_the_same_bits(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole")
    saves = []

    def save_once(*arguments: Any) -> None:
        if not saves:
            loop_save(*arguments)
        saves.append(arguments)
        if len(saves) == 5:
            raise KeyboardInterrupt  # four steps of work are lost

    loop_save = training_loop.save_checkpoint
    monkeypatch.setattr(training_loop, "save_checkpoint", save_once)
    with pytest.raises(KeyboardInterrupt):
        train("killed", checkpoint_seconds=1e-9)
    monkeypatch.undo()
    assert_same_end(train("killed", initial=1), whole)


def test_how_often_checkpoints_are_written_changes_nothing(train: Train) -> None:
    assert_same_end(train("often", checkpoint_seconds=1e-9), train("never", checkpoint_seconds=1e9))


def test_two_runs_of_one_seed_end_with_the_same_bits(train: Train) -> None:
    assert_same_end(train("one"), train("other"))


def test_validations_change_no_weight(train: Train) -> None:
    (with_them, state, _), (without, bare, _) = train("with"), train("without", validations=0)
    assert len(state.fidelity) == 4 and bare.fidelity == []
    assert all(
        torch.equal(tensor, weights(without)[name]) for name, tensor in weights(with_them).items()
    )


def test_a_time_limit_cuts_the_budget_and_is_otherwise_as_if_so_many_tokens_had_been_asked_for(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training_loop,
        "measure_rate",
        lambda rehearsed, processes: [next(rehearsed) for _ in range(3)] and 2000 / 60,
    )
    limited = train("limited", minutes=1, validations=0)
    assert limited[1].budget == 2000 <= limited[1].tokens < 2200
    assert_same_end(limited, train("asked", tokens=2000, validations=0))


def test_a_budget_that_was_cut_holds_for_the_resumed_run_too(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "measure_rate", lambda rehearsed, processes: 2000 / 60)
    whole = train("whole", minutes=1, validations=0)
    assert train("stopped", minutes=1, validations=0, stop_after=5) is None
    monkeypatch.setattr(
        training_loop,
        "measure_rate",
        lambda rehearsed, processes: pytest.fail("the budget is known"),
    )
    assert_same_end(train("stopped", minutes=1, validations=0, initial=1), whole)


def test_a_budget_that_fits_into_the_minutes_is_left_alone(train: Train) -> None:
    assert_same_end(train("limited", minutes=60), train("free"))


def test_validations_take_their_share_of_the_minutes(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "measure_rate", lambda rehearsed, processes: 2000 / 60)
    clock = iter(
        range(0, 10**6, 5)
    )  # whatever lies between two looks at the clock takes five seconds
    monkeypatch.setattr(training_loop.time, "monotonic", lambda: float(next(clock)))
    # The first validation and three on the way leave 40 seconds.
    assert train(minutes=1, validations=3)[1].plans[0][2] == 1333


def test_a_pace_that_was_misjudged_is_put_right_at_the_next_checkpoint(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "measure_rate", lambda rehearsed, processes: 600.0)
    clock = itertools.count()
    monkeypatch.setattr(training_loop.time, "monotonic", lambda: next(clock) / 100)
    _, state, _ = train(minutes=1 / 60, tokens=10**6, validations=0)
    assert [state.plans[0][2], state.budget] == [594, state.plans[-1][2]]
    assert state.tokens > 1200
    assert state.seconds == pytest.approx(state.allowed_seconds, rel=0.1)


@pytest.mark.parametrize("objective", ["hidden", "relations", "embedding"])
def test_each_objective_alone_is_lowered(train: Train, objective: str) -> None:
    objectives = {"hidden": 0, "relations": 0, "embedding": 0, objective: 1}
    _, state, _ = train(objectives=objectives, tokens=12_000)
    values = [entry[objective] for entry in state.history]
    assert values[-1] < values[0]
    assert state.history[0].keys() == {"tokens", "loss", objective}


def test_the_loss_is_the_weighed_sum_of_the_objectives(train: Train) -> None:
    _, state, _ = train()
    for entry in state.history:
        assert entry["loss"] == pytest.approx(
            entry["hidden"] + 0.5 * entry["relations"] + entry["embedding"], rel=1e-6
        )


def test_the_teacher_is_not_trained_and_keeps_no_hooks(
    tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path
) -> None:
    loaded = load_with_tokenizer(str(tiny_teacher))
    teacher = loaded.model
    before, student = weights(teacher), keep_layers(teacher, LAYERS)
    distil(
        Pair(
            student=student,
            teacher=teacher,
            tokenizer=loaded.tokenizer,
            layers=LAYERS,
            pooling="mean",
        ),
        *chunks,
        section(tokens=500),
        checkpoint=tmp_path / "checkpoint",
        runtime=Runtime(),
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(teacher).items())
    assert not any(
        module._forward_hooks
        for model in (teacher, student)
        for module in find_projections(model.base_model)
    )
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_teacher_comes_back_as_it_was(
    tiny_teacher: Path,
    chunks: tuple[Chunks, Chunks],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    fails: bool,
) -> None:
    loaded = load_with_tokenizer(str(tiny_teacher))
    teacher, student = loaded.model, keep_layers(loaded.model, LAYERS)
    before, kernel = weights(teacher), teacher.config._attn_implementation
    pair = Pair(
        student=student,
        teacher=teacher,
        tokenizer=loaded.tokenizer,
        layers=LAYERS,
        pooling="mean",
    )
    run = partial(distil, pair, *chunks, checkpoint=tmp_path / "checkpoint", runtime=Runtime())
    if fails:
        going_astray(monkeypatch, math.nan, lambda call: True)
        with pytest.raises(UserError):
            run(section(tokens=500, precision=precision))
    else:
        run(section(tokens=500, precision=precision))
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(teacher).items())
    for model in (teacher, student):
        assert model.config._attn_implementation == kernel
        assert not any(module._forward_hooks for module in find_projections(model.base_model))
    assert {tensor.dtype for tensor in teacher.parameters()} == {torch.float32}


def going_astray(monkeypatch: pytest.MonkeyPatch, value: float, at: Callable[[int], bool]) -> None:
    """Lets the loss be `value` in the forward passes, counted from 1, that `at` says."""
    calls = []
    whole = Criterion.values

    def values(self: Criterion, own: States, *arguments: Any) -> dict[str, Tensor]:
        if not torch.is_grad_enabled():
            return whole(self, own, *arguments)
        calls.append(own)
        bad = at(len(calls))
        return {
            name: value_ * value if bad else value_
            for name, value_ in whole(self, own, *arguments).items()
        }

    monkeypatch.setattr(Criterion, "values", values)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_recovered_from_once_without_that_batch(
    train: Train, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = train("whole")[1].step
    going_astray(monkeypatch, value, lambda call: call == 3)
    student, state, _ = train()
    assert state.skipped == [[0, 2]]
    assert steps - 1 <= state.step <= steps + 1
    assert all(torch.isfinite(tensor).all() for tensor in weights(student).values())


def test_a_loss_that_leaps_is_recovered_from(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    going_astray(monkeypatch, 100.0, lambda call: call == SETTLED_STEPS + 3)
    assert len(train(tokens=12_000)[1].skipped) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_twice_names_the_batch_and_the_learning_rate(
    train: Train, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_astray(monkeypatch, value, lambda call: call >= 3)
    message = (
        f"at step 1 \\(epoch 1, batch 1, .* chunks\\) the loss is {value}.* for the second time; "
    )
    with pytest.raises(
        UserError, match=message + r"lower distillation.learning_rate \(now 0.0005\)"
    ):
        train()


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    monkeypatch.setattr(
        Criterion, "values", lambda self, own, *_: {"hidden": (own.last.sum() * 0).sqrt()}
    )
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: steps.append(1))
    with pytest.raises(
        UserError, match=r"the loss is 0\.0 and its gradient's norm nan, for the second time"
    ):
        train(validations=0)
    assert not steps


def test_a_narrower_student_learns_states_and_vectors_through_a_projection_that_is_thrown_away(
    train: Train,
) -> None:
    student, state, _ = train(hidden_size=16, tokens=8000, objectives={"hidden": 1, "embedding": 1})
    first, last = state.history[0], state.history[-1]
    assert last["hidden"] < first["hidden"]
    assert last["embedding"] < first["embedding"]
    assert state.fidelity[-1]["pooled_cosine"] > state.fidelity[0]["pooled_cosine"]
    assert student.config.hidden_size == 16
    assert not any("projector" in name for name in weights(student))


def test_stopped_and_resumed_the_projection_goes_on_too(train: Train) -> None:
    values: dict[str, Any] = {"hidden_size": 16, "objectives": {"hidden": 1, "embedding": 1}}
    whole = train("whole", **values)
    assert train("stopped", stop_after=5, **values) is None
    assert_same_end(train("stopped", initial=1, **values), whole)


def test_under_relations_the_student_may_be_narrower_than_the_teacher(train: Train) -> None:
    _, state, _ = train(
        hidden_size=16, objectives={"hidden": 0, "relations": 1}, tokens=8000, validations=0
    )
    assert state.history[-1]["relations"] < state.history[0]["relations"]


@pytest.mark.parametrize(
    "objectives", [{"hidden": 1, "relations": 1}, {"hidden": 1, "attention": 1}]
)
def test_a_batch_in_parts_has_the_losses_of_a_whole_one(
    train: Train, objectives: dict[str, float]
) -> None:
    # The teacher's own layers have so little left to learn here that float32's rounding would show.
    whole, parts = (
        train(name, objectives=objectives, micro_batch_tokens=size, initial=1)
        for name, size in (("w", None), ("p", 60))
    )
    assert [entry["loss"] for entry in parts[1].history] == pytest.approx(
        [entry["loss"] for entry in whole[1].history], rel=1e-5
    )


def test_the_student_ends_as_it_validated_best(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, objectives = [], iter([3.0, 1.0, 2.0, 2.0])

    def measured(criterion: Criterion, *_: Any) -> dict[str, float]:
        seen.append(weights(criterion.student))
        return {"objective": next(objectives), "neighbour_agreement": 1.0}

    monkeypatch.setattr(loop, "measure_fidelity", measured)
    student, state, _ = train()
    assert 0 < state.best_step < state.step
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in weights(student).items())


def test_a_student_that_stalls_is_stopped(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loop, "measure_fidelity", lambda *_: {"objective": 1.0, "neighbour_agreement": 1.0}
    )
    _, state, _ = train(patience=2, validations=8)
    assert len(state.fidelity) == 3
    assert state.tokens < state.budget / 2


def test_a_cached_teacher_teaches_the_same(train: Train, tmp_path: Path) -> None:
    whole, cached = train("whole", tokens=8000), train("cached", tokens=8000, cache_teacher=True)
    assert (tmp_path / "teacher" / "states.raw").stat().st_size > 0
    losses = [[entry["loss"] for entry in run[1].history] for run in (whole, cached)]
    # Batches of other shapes round otherwise, and late losses are small differences: a share of the
    # first one's size.
    assert losses[1] == pytest.approx(losses[0], rel=1e-3, abs=5e-3 * losses[0][0])


def test_a_text_that_is_read_once_is_not_cached(train: Train, tmp_path: Path) -> None:
    train(tokens=200, cache_teacher=True)
    assert not (tmp_path / "teacher").exists()


@pytest.mark.parametrize(
    ("kind", "precision"), [("kl", "float32"), ("mse", "float32"), ("kl", "bfloat16")]
)
def test_a_student_with_a_head_learns_logits_and_pieces_and_tells_its_bits_per_byte(
    tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path, kind: str, precision: str
) -> None:
    from transformers import XLMRobertaForMaskedLM

    teacher = load_with_tokenizer(str(tiny_teacher))
    torch.manual_seed(0)
    headed = XLMRobertaForMaskedLM(teacher.model.config).eval()
    student = keep_layers(headed, LAYERS)
    state = distil(
        Pair(
            student=student,
            teacher=headed,
            tokenizer=teacher.tokenizer,
            layers=LAYERS,
            pooling="mean",
        ),
        *chunks,
        section(
            objectives={"hidden": 0, "logits": 1, "mlm": 1},
            logits=kind,
            precision=precision,
            tokens=12_000,
        ),
        checkpoint=tmp_path / "checkpoint",
        runtime=Runtime(),
    )
    assert state.history[-1]["mlm"] < state.history[0]["mlm"]
    assert 0 < state.fidelity[-1]["bits_per_byte"] < state.fidelity[0]["bits_per_byte"]
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


RATE = 5e-4


@given(share=st.floats(0, 1), warmup=st.floats(0, 0.99))
def test_the_learning_rate_lies_between_zero_and_its_highest(share: float, warmup: float) -> None:
    assert 0 <= learning_rate_at(share, section(warmup=warmup)) <= RATE * (1 + 1e-9)


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), warmup=st.floats(0.01, 0.99))
def test_the_learning_rate_rises_through_the_warm_up_and_falls_after_it(
    shares: tuple[float, float], warmup: float
) -> None:
    low, high = sorted(shares)
    before, after = (learning_rate_at(share, section(warmup=warmup)) for share in (low, high))
    if high < warmup:
        assert before <= after
    elif low >= warmup:
        assert before >= after


@pytest.mark.parametrize(
    ("share", "warmup", "expected"),
    [
        (0.05, 0.1, RATE / 2),
        (0.1, 0.1, RATE),
        (0.55, 0.1, RATE / 2),
        (1.0, 0.1, 0),
        (1.2, 0.1, 0),
        (0.0, 0.0, RATE),
        (0.5, 0.0, RATE / 2),
    ],
)
def test_the_learning_rate_is_linear_on_both_sides(
    share: float, warmup: float, expected: float
) -> None:
    assert learning_rate_at(share, section(warmup=warmup)) == pytest.approx(expected)


def test_the_first_step_has_some_learning_rate() -> None:
    assert learning_rate_at(0, section(warmup=0.1)) > 0


def test_matrices_alone_decay(teacher: LoadedModel) -> None:
    decaying, others = parameter_groups(teacher.model, 0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in teacher.model.named_parameters()}
    assert all("bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in others["params"])  # type: ignore[attr-defined]
    assert not any(
        "bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in decaying["params"]
    )  # type: ignore[attr-defined]
    assert len(decaying["params"]) + len(others["params"]) == len(names)  # type: ignore[arg-type]
