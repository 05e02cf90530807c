from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from distill.training import checkpoints
from distill.training.checkpoints import (
    LoopState,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from distill.training.groups import parameter_groups


class Tied(nn.Module):
    """A linear layer whose matrix is also its second one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(inputs)))  # type: ignore[no-any-return]


def fresh(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Tied()
    return model, torch.optim.AdamW(
        parameter_groups(model, 0.1), lr=0.01, betas=(0.9, 0.98), fused=True
    )


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(step))
        (model(inputs) - inputs.flip(-1)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def same(one: Any, other: Any) -> bool:
    """Whether nested containers of tensors and values are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def test_weights_moments_and_state_come_back_to_the_last_bit(tmp_path: Path) -> None:
    model, optimizer = fresh(0)
    train(model, optimizer, 3)
    for group in optimizer.param_groups:
        group["lr"] = 0.1 / 3
    state = LoopState(
        precision="bfloat16",
        budget=1234,
        step=3,
        tokens=99,
        epoch=1,
        batch=2,
        seconds=0.1,
        loss=1 / 3,
        history=[{"loss": 2 / 3}],
        fidelity=[{"a": 0.7}],
    )
    save_checkpoint(tmp_path / "checkpoint", model, optimizer, state)
    other, other_optimizer = fresh(1)
    assert load_checkpoint(tmp_path / "checkpoint", other, other_optimizer) == state
    assert same(other.state_dict(), model.state_dict())
    assert same(other_optimizer.state_dict(), optimizer.state_dict())


def test_training_goes_on_as_if_it_had_not_been_cut_off(tmp_path: Path) -> None:
    model, optimizer = fresh(0)
    train(model, optimizer, 3)
    save_checkpoint(
        tmp_path / "checkpoint", model, optimizer, LoopState(precision="float32", budget=1000)
    )
    train(model, optimizer, 5)
    other, other_optimizer = fresh(1)
    load_checkpoint(tmp_path / "checkpoint", other, other_optimizer)
    train(other, other_optimizer, 5)
    assert same(other.state_dict(), model.state_dict())
    assert same(other_optimizer.state_dict(), optimizer.state_dict())


def test_a_checkpoint_before_the_first_step_can_be_loaded(tmp_path: Path) -> None:
    model, optimizer = fresh(0)
    save_checkpoint(
        tmp_path / "checkpoint", model, optimizer, LoopState(precision="float32", budget=1000)
    )
    other, other_optimizer = fresh(1)
    load_checkpoint(tmp_path / "checkpoint", other, other_optimizer)
    assert same(other.state_dict(), model.state_dict())
    assert other_optimizer.state_dict()["state"] == {}


def test_tied_weights_are_written_once_and_stay_tied(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model, other = BertForMaskedLM(config), BertForMaskedLM(config)
    optimizer, other_optimizer = (
        torch.optim.AdamW(parameter_groups(m, 0.1)) for m in (model, other)
    )
    save_checkpoint(
        tmp_path / "checkpoint", model, optimizer, LoopState(precision="float32", budget=1000)
    )
    written = load_file(tmp_path / "checkpoint" / "student.safetensors")
    assert sum(tensor.shape == (50, 8) for tensor in written.values()) == 1
    load_checkpoint(tmp_path / "checkpoint", other, other_optimizer)
    assert same(other.state_dict(), model.state_dict())
    assert other.get_output_embeddings().weight is other.get_input_embeddings().weight


def test_where_none_was_written_none_is_found(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "checkpoint") is None


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(operation: int) -> Iterator[None]:
    """Ends the process before the given file operation of a save (writing, removing, renaming)."""
    left = operation

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return do(*arguments, **options)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save_file", counted(checkpoints.save_file))
        patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "write_text", counted(Path.write_text))
        yield


def save_step(folder: Path, step: int, operation: int) -> None:
    model, optimizer = fresh(step)
    try:
        with killed_at(operation):
            save_checkpoint(
                folder, model, optimizer, LoopState(precision="float32", budget=1000, step=step)
            )
    except Killed:
        pass


def found_step(folder: Path) -> int:
    """The step of the checkpoint that would be taken up; its weights are that step's."""
    found = find_checkpoint(folder)
    assert found is not None
    model, optimizer = fresh(999)
    step = load_checkpoint(found, model, optimizer).step
    assert same(model.state_dict(), fresh(step)[0].state_dict())
    return step


OPERATIONS = 9
"""More than a save has."""


@pytest.mark.parametrize(("first", "second"), product(range(OPERATIONS), repeat=2))
def test_a_kill_at_any_moment_of_any_save_leaves_a_whole_checkpoint(
    first: int, second: int, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    save_step(folder, 1, OPERATIONS)
    save_step(folder, 2, first)
    after_first = found_step(folder)
    assert after_first in (1, 2)
    save_step(folder, 3, second)
    assert found_step(folder) in (after_first, 3)
    save_step(folder, 4, OPERATIONS)
    assert found_step(folder) == 4
    kept = {path.name for path in tmp_path.iterdir()}
    assert "checkpoint" in kept and kept <= {"checkpoint", "checkpoint.old"}


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip_a_bit, cut, Path.unlink])
@pytest.mark.parametrize("name", ["student.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_counts_as_none_and_the_one_before_it_is_taken(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "checkpoint"
    for step in (1, 2):
        save_step(folder, step, OPERATIONS)
    damage(folder / name)
    assert found_step(folder) == 1
    damage(folder.with_name("checkpoint.old") / name)
    assert find_checkpoint(folder) is None
