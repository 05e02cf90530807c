"""What objectives read: a forward pass goes in, hidden states, one layer's projections and
attentions come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from distill.models.task_heads import head_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROJECTIONS = (
    ("query", "q_lin", "query_proj"),
    ("key", "k_lin", "key_proj"),
    ("value", "v_lin", "value_proj"),
)
_FUSED = "Wqkv"
"""ModernBERT's query, key and value in one matrix: a third of the output each, in this order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """States of one batch."""

    hidden: tuple[torch.Tensor, ...]
    """The embeddings' output, then every layer's; each [B, L, D]."""
    projections: tuple[torch.Tensor, ...]
    """Query, key and value of one layer, each [B, L, D], or nothing if they weren't asked for."""
    attentions: tuple[torch.Tensor, ...] = ()
    """Every layer's attention probabilities, each [B, H, L, L], or nothing if they weren't asked
    for.
    """

    answers: torch.Tensor | None = None
    """The logits of a fine-tuned head, if they were asked for."""

    @property
    def last(self) -> torch.Tensor:
        """The last layer's hidden states."""
        return self.hidden[-1]


class StateReader:
    """Reads the states of one model; query, key and value through hooks, which work under every
    attention kernel.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        projections: bool,
        layer: int | None = None,
        attentions: bool = False,
        answers: bool = False,
    ) -> None:
        """`layer` is the one whose projections are read, counted from 1; the last by default.

        Raises ValueError if the model has no such projections, or where it would have to give
        attentions and, its attention kernel not being the eager one, never computes them.
        """
        self.encoder = model.base_model
        self._model = model if answers else None
        self._attentions = attentions
        self._typed = getattr(model.config, "type_vocab_size", 0) > 1
        if attentions:
            self._check_kernel()
        self._captured: dict[int, torch.Tensor] = {}
        self._modules = find_projections(self.encoder, layer) if projections else []
        self._hooks = [
            module.register_forward_hook(
                lambda _module, _inputs, output, at=at: self._captured.__setitem__(at, output)
            )
            for at, module in enumerate(self._modules)
        ]

    def __call__(
        self,
        ids_BL: torch.Tensor,
        mask_BL: torch.Tensor | None,
        types_BL: torch.Tensor | None = None,
    ) -> States:
        """Run the encoder on one batch, whose padding `mask_BL` tells, and `types_BL` of which text
        of a pair each token is, to models that are told.

        Raises ValueError if attentions are wanted and the kernel doesn't give them.
        """
        output, answers = self._run(ids_BL, mask_BL, types_BL if self._typed else None)
        projections = tuple(self._captured[at] for at in range(len(self._modules)))
        self._captured.clear()
        if len(projections) == 1:
            projections = projections[0].chunk(3, dim=-1)
        attentions = tuple(output.attentions or ()) if self._attentions else ()
        if self._attentions and (not attentions or any(layer is None for layer in attentions)):
            self._check_kernel()  # it may have been changed since
            raise ValueError(
                f"{type(self.encoder).__name__} gave no attentions under its eager attention kernel"
            )
        return States(
            hidden=tuple(output.hidden_states),
            projections=projections,
            attentions=attentions,
            answers=answers,
        )

    def _run(
        self,
        ids_BL: torch.Tensor,
        mask_BL: torch.Tensor | None,
        types_BL: torch.Tensor | None,
    ) -> tuple[Any, torch.Tensor | None]:
        """What the encoder gives, and what the head does, in one pass."""
        inputs = {
            "input_ids": ids_BL,
            "attention_mask": mask_BL,
            "output_hidden_states": True,
            "output_attentions": self._attentions,
        }
        if types_BL is not None:
            inputs["token_type_ids"] = types_BL
        if self._model is None:
            return self.encoder(**inputs), None
        states: list[Any] = []
        hook = self.encoder.register_forward_hook(lambda _module, _in, out: states.append(out))
        try:
            answers = head_logits(self._model(**inputs))
        finally:
            hook.remove()
        return states[0], answers

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def _check_kernel(self) -> None:
        if (kernel := self.encoder.config._attn_implementation) != "eager":
            raise ValueError(
                f"{type(self.encoder).__name__} runs the attention kernel {kernel}, and only the "
                "eager one gives attentions; "
                'call model.set_attn_implementation("eager") first'
            )


def find_projections(encoder: torch.nn.Module, layer: int | None = None) -> list[torch.nn.Module]:
    """A layer's query, key and value projections, counted from 1 and the last by default; one
    module if it has them fused.

    Raises ValueError if the architecture has none of known name, or has no such layer.
    """
    named = [(path.rsplit(".", 1)[-1], module) for path, module in encoder.named_modules()]
    projections = [[module for name, module in named if name in names] for names in _PROJECTIONS]
    if not all(projections):
        projections = [[module for name, module in named if name == _FUSED and _is_thirds(module)]]
    if not all(projections):
        raise ValueError(
            f"{type(encoder).__name__} has no query, key and value projections of known name"
        )
    layers = list(zip(*projections, strict=True))
    if layer is not None and not 1 <= layer <= len(layers):
        raise ValueError(
            f"{type(encoder).__name__} has query, key and value projections of {len(layers)} "
            f"layers, not of {layer}"
        )
    return list(layers[-1 if layer is None else layer - 1])


def _is_thirds(module: torch.nn.Module) -> bool:
    """Whether there are as many keys and values as queries: decoders such as DBRX have fewer."""
    return isinstance(module, torch.nn.Linear) and module.out_features == 3 * module.in_features
