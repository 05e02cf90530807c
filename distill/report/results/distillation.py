"""What distillation returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationResult:
    """How the student was trained."""

    tokens: int
    steps: int
    seconds: float
    tokens_per_second: float
    final_loss: float | None
    """Exponential average of the loss over the last steps."""
    objectives: dict[str, float]
    """The weight of each objective."""
    precision: str
    epochs: float
    """How often the training text was read."""
    best_step: int | None
    """The step whose weights were kept: that with the lowest validation objective; None without
    validation.
    """
    skipped_batches: int
    """Batches left out because the loss went astray on them."""
    processes: int
    resumed_from: int | None
    fidelity: list[dict[str, float]]
