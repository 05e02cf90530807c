from __future__ import annotations

import pytest

from distill.recipe import DistillationSection
from distill.runtime.processes import Processes
from distill.training import budget
from distill.training.budget import checkpoint_seconds, measure_rate, plan_anew
from distill.training.checkpoints import LoopState

SECTION = DistillationSection(tokens=10_000, checkpoint_seconds=300)


def test_the_rate_is_that_of_batches_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 4.0, 6.0])
    monkeypatch.setattr(budget.time, "monotonic", lambda: next(clock))
    assert measure_rate([1000, 10, 20, 30, 10**9]) == 60 / 6


def state_after(tokens: int, seconds: float, allowed: float | None) -> LoopState:
    state = LoopState(precision="float32", budget=9000, allowed_seconds=allowed)
    state.plans.append([1000, 10.0, 9000])
    state.tokens, state.seconds = tokens, seconds
    return state


def test_what_is_left_is_planned_by_the_pace_since_the_last_plan() -> None:
    state = state_after(tokens=3000, seconds=50.0, allowed=100.0)  # 2,000 tokens in 40 s
    plan_anew(SECTION, state, Processes(alone=True))
    assert state.budget == 3000 + 50 * 50
    assert state.plans[-1] == [3000, 50.0, 5500]


def test_no_plan_goes_beyond_the_recipes_tokens_or_back() -> None:
    fast, late = state_after(9000, 11.0, allowed=500.0), state_after(3000, 110.0, allowed=100.0)
    for state in (fast, late):
        plan_anew(SECTION, state, Processes(alone=True))
    assert (fast.budget, late.budget) == (10_000, 3000)


def test_without_a_limit_in_time_nothing_is_planned_anew() -> None:
    state = state_after(tokens=3000, seconds=50.0, allowed=None)
    plan_anew(SECTION, state, Processes(alone=True))
    assert (state.budget, len(state.plans)) == (9000, 1)


def test_a_limited_loop_has_ten_checkpoints_at_least() -> None:
    assert checkpoint_seconds(SECTION, state_after(0, 0.0, allowed=None)) == 300
    assert checkpoint_seconds(SECTION, state_after(0, 0.0, allowed=600.0)) == 60
    assert checkpoint_seconds(SECTION, state_after(0, 0.0, allowed=60_000.0)) == 300
