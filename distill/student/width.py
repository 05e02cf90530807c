"""Width: a student whose hidden states, attention heads and feed-forward layers are narrower than
the teacher's.

A model goes in; out comes a stock model of the same class with the teacher's most important units.
Which weights belong to one unit, and so go together, torch-pruning reads from a trace of the
encoder. Many small steps keep more than one large one; `step_sizes` says which sizes lie on the
way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
import torch_pruning as tp
from torch import Tensor, nn

from distill.models.layers import layer_list_name
from distill.vocabulary.trimming import remove_absent

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


class _Names(NamedTuple):
    """An architecture's names: its config's feed-forward width, and a layer's two projections back
    to the hidden states.
    """

    intermediate_size: str
    attention_output: str
    feed_forward_output: str


_BERT = _Names("intermediate_size", "attention.output.dense", "output.dense")
_ARCHITECTURES = {
    "bert": _BERT,
    "camembert": _BERT,
    "distilbert": _Names("hidden_dim", "attention.out_lin", "ffn.lin2"),
    "modernbert": _Names("intermediate_size", "attn.Wo", "mlp.Wo"),
    "roberta": _BERT,
    "xlm-roberta": _BERT,
}
_IMPORTANCES: dict[str, Callable[[], Any]] = {
    "magnitude": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "taylor": tp.importance.GroupTaylorImportance,
}


def narrow(
    model: PreTrainedModel,
    *,
    hidden_size: int | None,
    intermediate_size: int | None,
    example: tuple[Tensor, Tensor],
    importance: Literal["taylor", "magnitude"] = "magnitude",
    gradients: Callable[[PreTrainedModel], None] | None = None,
) -> PreTrainedModel:
    """A copy of `model` (float32, eval) with only the most important of its hidden, head and
    feed-forward units.

    None leaves a size as it is. Heads keep their size and become as many as fit into `hidden_size`;
    which ones, each layer chooses for itself. `example` is any batch, ids_BL and mask_BL, to trace
    the encoder with. Magnitude ranks units by the squared weights of their group (DepGraph, Fang et
    al. 2023, section 3); Taylor by weight times gradient (Molchanov et al. 2019), where `gradients`
    leaves those of a loss in the model that it is called with. Raises ValueError as `check_width`
    does.
    """
    check_width(model.config, hidden_size=hidden_size, intermediate_size=intermediate_size)
    if importance == "taylor" and gradients is None:
        raise ValueError(
            "importance taylor needs gradients of a loss, and there is nothing to compute them"
        )
    pruned = copy.deepcopy(model).float().eval()
    kept_hidden = torch.arange(0)
    if hidden_size is not None or intermediate_size is not None:
        # The trace is what autograd records of weights that are not frozen, and gradients go to
        # those alone.
        with torch.enable_grad():
            pruned.requires_grad_(True)
            if importance == "taylor" and gradients is not None:
                gradients(pruned)
        kept_hidden = _prune(
            pruned, hidden_size, intermediate_size, example, _IMPORTANCES[importance]()
        )
    # A fresh model draws weights; the caller's next random numbers should not depend on it.
    with torch.random.fork_rng(devices=[]):
        student = type(model)(pruned.config)
    remove_absent(student, pruned)
    state = pruned.state_dict()
    for name, tensor in student.state_dict().items():
        # The head and the pooler lie outside the trace and still have the teacher's hidden size.
        for axis, size in enumerate(tensor.shape):
            if state[name].shape[axis] != size:
                state[name] = state[name].index_select(axis, kept_hidden)
    student.load_state_dict(state)
    return student.eval()


def step_sizes(start: int, end: int, steps: int, multiple: int = 1) -> list[int]:
    """The size after each of `steps` steps from `start` (left out) to `end`: evenly, rounded to
    whole multiples.

    Where there are more steps than multiples on the way, neighbours are equal.
    """
    return [
        multiple * round((start + (end - start) * step / steps) / multiple)
        for step in range(1, steps + 1)
    ]


def step_widths(
    config: PreTrainedConfig, *, hidden_size: int | None, intermediate_size: int | None, steps: int
) -> list[tuple[int, int]]:
    """Hidden and feed-forward size after each step from those of `config` to those asked for; no
    step prunes nothing.
    """
    full = (config.hidden_size, feed_forward_size(config))
    head_size = config.hidden_size // config.num_attention_heads
    hidden = step_sizes(full[0], hidden_size or full[0], steps, head_size)
    feed_forward = step_sizes(full[1], intermediate_size or full[1], steps)
    return [
        width for width in dict.fromkeys(zip(hidden, feed_forward, strict=True)) if width != full
    ]


def feed_forward_size(config: PreTrainedConfig) -> int:
    """The width of the feed-forward layers, which DistilBERT's config names otherwise."""
    size: int = getattr(config, "intermediate_size", None) or config.hidden_dim
    return size


def check_width(
    config: PreTrainedConfig, *, hidden_size: int | None, intermediate_size: int | None
) -> None:
    """Nothing if a model of `config` can be narrowed to these sizes; raises ValueError saying why
    it can't.
    """
    given = {"hidden_size": hidden_size, "intermediate_size": intermediate_size}
    asked = {key: size for key, size in given.items() if size is not None}
    if not asked:
        return
    widest = {
        "hidden_size": config.hidden_size,
        "intermediate_size": getattr(config, _names(config).intermediate_size),
    }
    for key, size in asked.items():
        if size < 1:
            raise ValueError(f"{key} {size} is smaller than 1; the teacher's is {widest[key]}")
        if size > widest[key]:
            raise ValueError(f"{key} {size} is larger than the teacher's {widest[key]}")
    head_size = config.hidden_size // config.num_attention_heads
    if hidden_size is not None and hidden_size % head_size:
        below = hidden_size - hidden_size % head_size
        nearest = f"{below} or {below + head_size}" if below else str(head_size)
        raise ValueError(
            f"hidden_size {hidden_size} is not divisible into heads of {head_size}, the teacher's "
            f"head size; {nearest} would be"
        )
    if all(size == widest[key] for key, size in asked.items()):
        sizes = " and ".join(f"{key} {size}" for key, size in asked.items())
        raise ValueError(
            f"{sizes} {'is' if len(asked) == 1 else 'are'} the teacher's own; nothing would be "
            "pruned: "
            "give a smaller size, or none"
        )


def _names(config: PreTrainedConfig) -> _Names:
    if config.model_type not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise ValueError(
            f"cannot narrow a model of architecture {config.model_type}; known are {known}"
        )
    return _ARCHITECTURES[config.model_type]


def _prune(
    model: PreTrainedModel,
    hidden_size: int | None,
    intermediate_size: int | None,
    example: Any,
    importance: Any,
) -> Tensor:
    """Narrows the encoder of `model`, and its config; gives the hidden units that stayed."""
    config, encoder = model.config, model.base_model
    names, width = _names(config), config.hidden_size
    layers = encoder.get_submodule(layer_list_name(encoder))
    # The trace ends at the hidden states, because a head or pooler behind them would choose units
    # of its own, and tied embeddings could not follow both.
    with torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(
            encoder,
            example_inputs=example,
            forward_fn=lambda encoder, batch: (
                encoder(input_ids=batch[0], attention_mask=batch[1]).last_hidden_state
            ),
        )
    kept_hidden = torch.arange(width)
    # Hidden units first: what a head or a feed-forward unit weighs then counts only what stays of
    # it.
    if hidden_size is not None:
        head_size = width // config.num_attention_heads
        embedding = encoder.get_input_embeddings()
        kept_hidden = _keep(
            graph, embedding, tp.prune_embedding_out_channels, importance, width, hidden_size
        )
        for layer in layers:
            output = layer.get_submodule(names.attention_output)
            _keep(
                graph,
                output,
                tp.prune_linear_in_channels,
                importance,
                width,
                hidden_size,
                block=head_size,
            )
        config.hidden_size, config.num_attention_heads = hidden_size, hidden_size // head_size
    if intermediate_size is not None:
        for layer in layers:
            output = layer.get_submodule(names.feed_forward_output)
            _keep(
                graph,
                output,
                tp.prune_linear_in_channels,
                importance,
                output.in_features,
                intermediate_size,
            )
        setattr(config, names.intermediate_size, intermediate_size)
    return kept_hidden


def _keep(
    graph: Any,
    root: nn.Module,
    prune: Callable[..., Any],
    importance: Any,
    width: int,
    kept: int,
    *,
    block: int = 1,
) -> Tensor:
    """Prunes all but the `kept` most important of `root`'s `width` units, in whole blocks; gives
    the units that stayed.
    """
    importance_D = importance(_group(graph, root, prune, range(width)))
    ranked = importance_D.view(-1, block).sum(1).argsort(descending=True, stable=True)
    units = torch.arange(width, device=ranked.device).view(-1, block)
    if dropped := units[ranked[kept // block :]].flatten().tolist():
        _group(graph, root, prune, dropped).prune()
    return units[ranked[: kept // block].sort().values].flatten()


def _group(graph: Any, root: nn.Module, prune: Callable[..., Any], units: Sequence[int]) -> Any:
    """Everything to prune together with these units of `root`, as torch-pruning's group."""
    group = graph.get_pruning_group(root, prune, list(units))
    for item in group.items:
        layer = item.dep.target.module
        # torch-pruning takes ModernBERT's fused query, key and value for the query alone.
        if (
            isinstance(root, nn.Linear)
            and isinstance(layer, nn.Linear)
            and layer.out_features == 3 * root.in_features
        ):
            item.idxs[:] = [part * root.in_features + unit for part in range(3) for unit in units]
            item.root_idxs = list(units) * 3
    return group
