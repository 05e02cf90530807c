"""A student half-way: weights, optimiser moments and loop state, written whole or not at all, in
safetensors and JSON.

Nothing random is left out: batches are a function of seed and position, and no dropout runs, so
that weights, moments and position are all that a resumed run needs to end with the same weights as
an uninterrupted one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_WEIGHTS = "student.safetensors"
SETTLED_STEPS = 50
"""Steps whose highest loss a spike is measured by."""
SMOOTHING = 0.95
"""Weight of the past in the exponential average of the loss."""


@dataclass(kw_only=True)
class LoopState:
    """Where the loop stands; the next batch is the one after (epoch, batch)."""

    precision: str
    budget: int
    """After how many tokens the loop ends."""
    step: int = 0
    tokens: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    """Time spent in the loop by every process that worked on it."""
    loss: float | None = None
    """Exponential average of the loss."""
    highest_loss: float = 0.0
    """The highest loss of the first steps."""
    best: float | None = None
    """The lowest validation objective so far."""
    best_step: int | None = None
    """The step that had it."""
    stalled: int = 0
    """How many validations have passed since."""
    skipped: list[list[int]] = field(default_factory=list)
    """[epoch, batch] of those left out because the loss went astray on them."""
    resumed_from: int | None = None
    """The step at which the latest process took over, or None if one process did it all."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Losses along the way."""
    fidelity: list[dict[str, float]] = field(default_factory=list)
    """Held-out fidelity along the way."""

    def advance(self, epoch: int, batch: int, tokens: int, loss: float) -> None:
        """Count a step that was taken on that batch."""
        self.step, self.epoch, self.batch = self.step + 1, epoch, batch + 1
        self.tokens += tokens
        self.loss = loss if self.loss is None else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        if self.step <= SETTLED_STEPS:
            self.highest_loss = max(self.highest_loss, loss)


def save_checkpoint(
    folder: Path, student: torch.nn.Module, optimizer: torch.optim.Optimizer, state: LoopState
) -> None:
    """Replace the checkpoint in `folder`; at every moment either the old or the new one is there
    whole.
    """
    fresh, stale = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _save_parameters(student, fresh)
    moments, groups = _flatten(optimizer)
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "state.json").write_text(
        json.dumps({"loop": asdict(state), "groups": groups}), encoding="utf-8"
    )
    if folder.exists():  # if not, an earlier save was cut off and the stale one is all there is
        shutil.rmtree(stale, ignore_errors=True)
        folder.rename(stale)
    fresh.rename(folder)
    shutil.rmtree(stale, ignore_errors=True)


def load_checkpoint(
    folder: Path, student: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> LoopState:
    """Put `student` and `optimizer` where the checkpoint has them; the loop state to go on from."""
    load_weights(folder, student)
    content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    _restore(optimizer, load_file(folder / "optimizer.safetensors"), content["groups"])
    return LoopState(**content["loop"])


def save_weights(folder: Path, student: torch.nn.Module) -> None:
    """Replace the weights in `folder`, whole or not at all."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _save_parameters(student, fresh)
    folder.mkdir(exist_ok=True)
    (fresh / _WEIGHTS).replace(folder / _WEIGHTS)
    fresh.rmdir()


def load_weights(folder: Path, student: torch.nn.Module) -> None:
    """Put `student` where the weights in `folder` have it."""
    parameters = dict(student.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(folder / _WEIGHTS).items():
            parameters[name].copy_(tensor)


def saved_precision(folder: Path) -> str:
    """The arithmetic that a checkpoint's run began in."""
    return str(json.loads((folder / "state.json").read_text(encoding="utf-8"))["loop"]["precision"])


def find_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of `folder`, also after a kill between the two renames of a save."""
    for candidate in (folder, folder.with_name(f"{folder.name}.old")):
        if (candidate / "state.json").is_file():
            return candidate
    return None


def _save_parameters(student: torch.nn.Module, folder: Path) -> None:
    # Parameters by name: tied weights occur once, as safetensors wants it.
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in student.named_parameters()},
        folder / _WEIGHTS,
    )


def _flatten(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    content = optimizer.state_dict()
    moments = {
        f"{parameter}.{name}": tensor.detach().clone().contiguous()
        for parameter, entry in content["state"].items()
        for name, tensor in entry.items()
    }
    return moments, content["param_groups"]


def _restore(
    optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor], groups: list[dict[str, Any]]
) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in moments.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
