"""A student half-way: weights, optimiser moments and loop state, written whole or not at all, in
safetensors and JSON. The checkpoint before the last one is kept, too: a disk may damage either.

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

from distill.runtime.files import flush, flush_folder, put_in_place
from distill.runtime.hashes import hash_file, hash_text

_WEIGHTS, _MOMENTS, _STATE = "student.safetensors", "optimizer.safetensors", "state.json"
_BEST = "best.safetensors"
"""The weights that had validated best by then: without them a resumed run could end in others."""
SETTLED_STEPS = 50
"""Steps whose highest loss a spike is measured by."""
SMOOTHING = 0.95
"""Weight of the past in the exponential average of the loss."""
Group = dict[str, Any]
"""A group of parameters as the optimiser keeps it: learning rate, decay, ids of parameters."""


@dataclass(kw_only=True)
class LoopState:
    """Where the loop stands; the next batch is the one after (epoch, batch)."""

    precision: str
    budget: int
    """After how many tokens the loop ends."""
    allowed_seconds: float | None = None
    """How long the loop may take, where the recipe limits the minutes."""
    plans: list[list[float]] = field(default_factory=list)
    """[tokens, seconds, budget] whenever the budget was planned anew."""
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
    best_hash: str | None = None
    """Of the file with the weights of that step."""
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
    folder: Path,
    student: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: LoopState,
    best: Path | None = None,
) -> None:
    """Write a checkpoint to `folder`; the one that was there becomes the one before it.

    `best` is where the weights are kept that validated best. At every moment a whole checkpoint is
    there.
    """
    fresh, before = folder.with_name(f"{folder.name}.new"), checkpoint_before(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _save_parameters(student, fresh)
    moments, groups = _flatten(optimizer)
    save_file(moments, fresh / _MOMENTS)
    files = {name: hash_file(fresh / name) for name in (_WEIGHTS, _MOMENTS)}
    if best is not None and state.best_hash is not None:
        _link(best / _WEIGHTS, fresh / _BEST)
        files[_BEST] = state.best_hash
    content = {"loop": asdict(state), "groups": groups, "files": files}
    content["digest"] = hash_text(json.dumps(content))
    (fresh / _STATE).write_text(json.dumps(content), encoding="utf-8")
    flush_folder(fresh)
    if folder.exists():  # if not, an earlier save was cut off and the one before is all there is
        shutil.rmtree(before, ignore_errors=True)
        folder.rename(before)
    fresh.rename(folder)
    flush(folder.parent)


def checkpoint_before(folder: Path) -> Path:
    """Where the checkpoint before that of `folder` is kept."""
    return folder.with_name(f"{folder.name}.old")


def load_checkpoint(
    folder: Path, student: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> LoopState:
    """Put `student` and `optimizer` where the checkpoint has them; the loop state to go on from."""
    load_weights(folder, student)
    content = _read_state(folder)
    _restore(optimizer, load_file(folder / _MOMENTS), content["groups"])
    return LoopState(**content["loop"])


def restore_best(checkpoint: Path, best: Path) -> None:
    """Put the weights that had validated best by the checkpoint's step back to where they are kept;
    nothing if it has none.
    """
    if (checkpoint / _BEST).is_file():
        shutil.rmtree(best, ignore_errors=True)
        best.mkdir(parents=True)
        _link(checkpoint / _BEST, best / _WEIGHTS)


def _link(path: Path, name: Path) -> None:
    """The file under another name too, without a copy where the file system can."""
    try:
        name.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, name)


def save_weights(folder: Path, student: torch.nn.Module) -> str:
    """Replace the weights in `folder`, whole or not at all; the hash of their file."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    _save_parameters(student, fresh)
    folder.mkdir(exist_ok=True)
    flush(fresh / _WEIGHTS)
    put_in_place(fresh / _WEIGHTS, folder / _WEIGHTS)
    fresh.rmdir()
    flush(folder)
    return hash_file(folder / _WEIGHTS)


def are_weights_whole(folder: Path, digest: str | None) -> bool:
    """Whether `folder` has the weights whose file had that hash."""
    path = folder / _WEIGHTS
    return path.is_file() and digest in (None, hash_file(path))


def load_weights(folder: Path, student: torch.nn.Module) -> None:
    """Put `student` where the weights in `folder` have it."""
    parameters = dict(student.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(folder / _WEIGHTS).items():
            parameters[name].copy_(tensor)


def saved_precision(folder: Path) -> str:
    """The arithmetic that a checkpoint's run began in."""
    return str(_read_state(folder)["loop"]["precision"])


def find_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint of `folder` that is as it was written, or None.

    After a kill between the renames of a save, or where the last one is damaged, it is the one
    before.
    """
    candidates = (folder, checkpoint_before(folder))
    return next((candidate for candidate in candidates if is_whole(candidate)), None)


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint's files are as they were written."""
    try:
        files: dict[str, str] = _read_state(folder)["files"]
        return all(hash_file(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _read_state(folder: Path) -> dict[str, Any]:
    """What state.json holds. Raises OSError or ValueError if it is not there or damaged."""
    content: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    digest = content.pop("digest", None) if isinstance(content, dict) else None
    if digest != hash_text(json.dumps(content)):
        raise ValueError(f"{folder / _STATE} is damaged")
    return content


def _save_parameters(student: torch.nn.Module, folder: Path) -> None:
    # Parameters by name: tied weights occur once, as safetensors wants it.
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in student.named_parameters()},
        folder / _WEIGHTS,
    )


def _flatten(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], list[Group]]:
    content = optimizer.state_dict()
    moments = {
        f"{parameter}.{name}": tensor.detach().clone().contiguous()
        for parameter, entry in content["state"].items()
        for name, tensor in entry.items()
    }
    return moments, content["param_groups"]


def _restore(
    optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor], groups: list[Group]
) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in moments.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
