"""How many tokens a loop reads whose time is limited: its pace goes in, a budget comes out.

The budget is told by rehearsed steps at first, and planned anew with every checkpoint by the pace
since the one before. It is kept with the loop's state, so that a resumed run has the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from distill.recipe import DistillationSection
from distill.runtime.processes import Processes
from distill.training.checkpoints import LoopState

PROBE_SECONDS = 5.0
"""Seconds for which batches are rehearsed."""
_LEAST_PLANS = 10
"""How often the budget of a loop whose time is limited is planned anew, at least."""


def measure_rate(
    rehearsed: Iterable[int], processes: Processes | None = None, least: float = PROBE_SECONDS
) -> float:
    """Tokens per second of batches that are rehearsed one by one; the first of them warms up."""
    batches = iter(rehearsed)
    next(batches)
    tokens, started = 0, time.monotonic()
    for gained in batches:
        tokens += gained
        seconds = time.monotonic() - started
        if (processes.share(seconds) if processes else seconds) >= least:
            break
    return tokens / seconds


def plan(
    section: DistillationSection, state: LoopState, fitting: float, processes: Processes
) -> None:
    """End after `fitting` more tokens, no more than the recipe's, on every process."""
    budget = min(section.tokens, state.tokens + max(0, round(fitting)))
    state.budget = processes.share(max(1, budget))
    state.plans.append([state.tokens, state.seconds, state.budget])


def plan_anew(section: DistillationSection, state: LoopState, processes: Processes) -> None:
    """Where the time is limited, plan the rest by the pace since the last plan, which validations
    and checkpoints slowed as they will slow the rest.
    """
    if state.allowed_seconds is None:
        return
    tokens, seconds, _ = state.plans[-1]
    pace = (state.tokens - tokens) / max(state.seconds - seconds, 1e-9)
    plan(section, state, pace * (state.allowed_seconds - state.seconds), processes)


def checkpoint_seconds(section: DistillationSection, state: LoopState) -> float:
    """How often a checkpoint is due: where the time is limited, often enough for the budget to be
    planned anew.
    """
    fixed, allowed = section.checkpoint_seconds, state.allowed_seconds
    return fixed if allowed is None else min(fixed, allowed / _LEAST_PLANS)
