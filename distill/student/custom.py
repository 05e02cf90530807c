"""Students that no pruning reaches: of a config of their own, or an existing model.

A trimmed teacher and a few keys, or a second model, go in; a model with the trimmed teacher's
vocabulary comes out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError

from distill.models import LoadedModel
from distill.models.layers import layer_list_name
from distill.models.loading import auto_class
from distill.runtime.errors import UserError
from distill.student.depth import choose_layers
from distill.student.width import feed_forward_size
from distill.vocabulary.trimming import special_ids, trim_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_FUSED = {"attn.Wqkv": 3, "mlp.Wi": 2}
"""ModernBERT's projections that are several in one, each of which is cut by itself."""


def custom_config(overrides: Mapping[str, Any], config: PreTrainedConfig) -> PreTrainedConfig:
    """The teacher's `config` with `overrides`, which name keys of the architecture as a stock
    config does.

    Raises ValueError for a key that is unknown or the trimming's, for values that contradict each
    other, and for a student deeper than its teacher.
    """
    layers = config.num_hidden_layers
    values = {**config.to_dict(), **_stock_names(overrides, config)}
    depth = values[config.attribute_map.get("num_hidden_layers", "num_hidden_layers")]
    if isinstance(depth, int) and depth > layers:
        raise ValueError(
            f"a student cannot be deeper than its teacher: num_hidden_layers {depth}, and the "
            f"teacher has {layers}"
        )
    kinds = getattr(
        config, "layer_types", None
    )  # whether a layer attends globally, which ModernBERT says by position
    if kinds and "layer_types" not in overrides and isinstance(depth, int) and depth > 0:
        values["layer_types"] = [kinds[layer - 1] for layer in choose_layers(depth, layers)]
    try:
        student = type(config).from_dict(values)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise ValueError(f"no config of a {config.model_type}: {_in_one_line(error)}") from error
    _check_sizes(student)
    try:
        with torch.device("meta"):
            auto_class(student).from_config(student)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"no model of this config: {_in_one_line(error)}") from error
    return student


def build_custom(
    overrides: Mapping[str, Any],
    teacher: PreTrainedModel,
    *,
    weights: Literal["copied", "random"],
    seed: int,
) -> PreTrainedModel:
    """A model of `custom_config` in the teacher's class: random weights, or over them as much of
    the teacher's as fits.

    Raises ValueError as `custom_config` does.
    """
    config = custom_config(overrides, teacher.config)
    # The caller's next random numbers should not depend on what is drawn here.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = type(teacher)(config)
    if weights == "copied":
        copy_leading(student, teacher)
    student.tie_weights()
    return student.eval()


@torch.no_grad()
def copy_leading(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """Copies the leading slice of every tensor of the teacher's that the student has by the same
    name.

    Layers are those of `choose_layers`, spread evenly. What the student has beyond the teacher's
    sizes stays as it is.
    """
    source = teacher.state_dict()
    chosen = choose_layers(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
    layer = re.compile(rf"^({re.escape(layer_list_name(student))}\.)(\d+)(?=\.)")
    for name, tensor in student.state_dict().items():
        copied = source.get(layer.sub(lambda match: f"{match[1]}{chosen[int(match[2])] - 1}", name))
        if copied is None or copied.dim() != tensor.dim():
            continue
        parts = next(
            (parts for fused, parts in _FUSED.items() if name.rpartition(".")[0].endswith(fused)), 1
        )
        for mine, theirs in zip(tensor.chunk(parts), copied.chunk(parts), strict=True):
            common = tuple(
                slice(min(sizes)) for sizes in zip(mine.shape, theirs.shape, strict=True)
            )
            mine[common] = theirs[common]


def adopt_model(
    existing: LoadedModel,
    *,
    trimmed: LoadedModel,
    untrimmed_vocabulary: Mapping[str, int] | None = None,
) -> PreTrainedModel:
    """An existing model as the student: as it is if its vocabulary is the trimmed one, trimmed
    likewise if it is the teacher's.

    `untrimmed_vocabulary` are the teacher's pieces with their ids. Raises UserError if the
    vocabulary is another one.
    """
    pieces, kept = existing.tokenizer.get_vocab(), trimmed.tokenizer.get_vocab()
    if pieces == kept:
        return existing.model.eval()
    if untrimmed_vocabulary is None or pieces != dict(untrimmed_vocabulary):
        raise UserError(
            f"student.model: its vocabulary of {len(pieces):,} pieces is another one than the "
            "teacher's; "
            "it should have the teacher's tokenizer, untrimmed or trimmed as in this run."
        )
    return trim_model(existing.model, {pieces[piece]: new for piece, new in kept.items()})


def corresponding_layers(layers: int, teacher_layers: int) -> list[int]:
    """The teacher layers, counted from 1, that those of a student of `layers` layers stand for,
    spread evenly.

    Raises UserError if it has more than the teacher.
    """
    if layers > teacher_layers:
        raise UserError(
            f"student: it has {layers} layers and the teacher {teacher_layers}; a student cannot "
            "be deeper than its teacher."
        )
    return choose_layers(layers, teacher_layers)


def _stock_names(overrides: Mapping[str, Any], config: PreTrainedConfig) -> dict[str, object]:
    """The overrides by the names of the config's file, where aliases (DistilBERT's hidden_size for
    dim) are resolved.
    """
    aliases = config.attribute_map
    from_vocabulary = {"vocab_size", aliases.get("vocab_size", "vocab_size"), *special_ids(config)}
    from_vocabulary |= {key for key in config.to_dict() if key.endswith("_token_id")}
    known = (config.to_dict().keys() - _general_keys()) | aliases.keys()
    resolved: dict[str, object] = {}
    for key, value in overrides.items():
        if key in from_vocabulary:
            raise ValueError(f"{key} is the trimmed teacher's and cannot be set")
        if key not in known:
            nearest = difflib.get_close_matches(
                key, sorted(known - from_vocabulary), n=1, cutoff=0.0
            )[0]
            raise ValueError(
                f"{key} is no key of a {config.model_type} config; the nearest is {nearest}"
            )
        name = aliases.get(key, key)
        if name in resolved:
            raise ValueError(f"{key} and {name} are the same; choose one")
        resolved[name] = value
    return resolved


def _general_keys() -> set[str]:
    """What every config has, whatever its architecture: labels, dtype, what a forward pass
    returns.
    """
    from transformers import PreTrainedConfig

    return set(PreTrainedConfig().to_dict())


def _check_sizes(config: PreTrainedConfig) -> None:
    sizes = {
        name: getattr(config, name)
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
    }
    for name, size in {**sizes, "intermediate_size": feed_forward_size(config)}.items():
        if size < 1:
            raise ValueError(f"{name} {size} is smaller than 1")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size {config.hidden_size} is not divisible by num_attention_heads "
            f"{config.num_attention_heads}"
        )
    if (
        getattr(config, "rope_parameters", None)
        and (head := config.hidden_size // config.num_attention_heads) % 2
    ):
        raise ValueError(
            f"hidden_size {config.hidden_size} makes {config.num_attention_heads} heads of {head}; "
            "rotary positions need an even size"
        )
    if (kinds := getattr(config, "layer_types", None)) and len(kinds) != config.num_hidden_layers:
        raise ValueError(
            f"layer_types names {len(kinds)} layers and num_hidden_layers is "
            f"{config.num_hidden_layers}"
        )


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error.args[0] if error.args else error).split())
    return text if len(text) <= 160 else text[:157] + "..."
