"""What objectives read: one forward pass goes in, hidden states and the last layer's projections come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROJECTIONS = (("query", "q_lin", "query_proj"), ("key", "k_lin", "key_proj"), ("value", "v_lin", "value_proj"))


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """States of one batch; each tensor is [B, L, D]."""

    hidden: tuple[torch.Tensor, ...]
    """The embeddings' output, then every layer's."""
    projections: tuple[torch.Tensor, ...]
    """Query, key and value of the last layer, or nothing if they weren't asked for."""

    @property
    def last(self) -> torch.Tensor:
        """The last layer's hidden states."""
        return self.hidden[-1]


class StateReader:
    """Reads the states of one model; query, key and value through hooks, which work under every attention kernel."""

    def __init__(self, model: PreTrainedModel, *, projections: bool) -> None:
        self.encoder = model.base_model
        self._captured: dict[int, torch.Tensor] = {}
        self._modules = find_projections(self.encoder) if projections else []
        self._hooks = [
            module.register_forward_hook(lambda _module, _inputs, output, at=at: self._captured.__setitem__(at, output))
            for at, module in enumerate(self._modules)
        ]

    def __call__(self, ids_BL: torch.Tensor, mask_BL: torch.Tensor) -> States:
        """Run the encoder on one batch."""
        output = self.encoder(input_ids=ids_BL, attention_mask=mask_BL, output_hidden_states=True)
        projections = tuple(self._captured[at] for at in range(len(self._modules)))
        self._captured.clear()
        return States(hidden=tuple(output.hidden_states), projections=projections)

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()


def find_projections(encoder: torch.nn.Module) -> list[torch.nn.Module]:
    """The last layer's query, key and value projections. Raises ValueError if the architecture has none of known name."""
    modules = dict(encoder.named_modules())
    found = [_last(modules, names) for names in _PROJECTIONS]
    if not all(found):
        raise ValueError(f"{type(encoder).__name__} has no separate query, key and value projections")
    return [module for module in found if module is not None]


def _last(modules: dict[str, torch.nn.Module], names: Sequence[str]) -> torch.nn.Module | None:
    return next((modules[path] for path in reversed(modules) if path.rsplit(".", 1)[-1] in names), None)
