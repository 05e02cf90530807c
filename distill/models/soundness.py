"""Whether a model is what its files say: a config that can be built, weights that are there, fit it
and are finite, and a tokenizer that was not rebuilt into another.

transformers loads more than it should: a weight that is missing is drawn at random, and a tokenizer
is built anew by its class, whatever tokenizer.json says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

NOT_NEEDED = re.compile(r"(^|\.)(pooler|cls\.seq_relationship|position_ids)(\.|$)")
"""Weights that a bare checkpoint may lack: nothing here reads what a pooler computes."""
SHOWN = 3
PROBES = 200
LEAST_AGREEMENT = 0.5
"""Share of probes that a tokenizer and its own tokenizer.json must split alike.

They may differ a little: transformers builds XLM-R's pipeline anew, with other white space.
"""


FLOATS = {"F64", "F32", "F16", "BF16"}
"""Types of numbers, as safetensors names them, that weights are trained in."""
LIMITS = {
    "num_hidden_layers": 1_000,
    "hidden_size": 100_000,
    "intermediate_size": 1_000_000,
    "num_attention_heads": 10_000,
    "vocab_size": 10_000_000,
    "max_position_embeddings": 100_000_000,
}
"""Beyond these a number in config.json is a slip, and building it would fill the memory."""


def check_config(name: str, config: PretrainedConfig) -> None:
    """Nothing if the config is of a text encoder of sizes that make sense.

    Raises UserError naming what is wrong: quantised weights, a decoder, another modality, a size.
    """

    def refuse(what: str) -> NoReturn:
        raise UserError(f"{name} {what}", key="teacher.model")

    if getattr(config, "is_encoder_decoder", False):
        refuse(
            f"is of type {config.model_type}, which has a decoder besides; an encoder is needed."
        )
    if getattr(config, "is_decoder", False):
        refuse(
            "is a decoder (is_decoder: true in its config.json): a token would not see those after "
            "it; an encoder is needed."
        )
    if getattr(config, "quantization_config", None):
        refuse(
            "has quantised weights (quantization_config in its config.json), which cannot be "
            "trimmed exactly; name the model that they were made from."
        )
    if not hasattr(type(config)(), "vocab_size"):  # the file may hold keys that mean nothing here
        refuse(
            f"is of type {config.model_type}, which has no vocabulary; a text encoder is needed."
        )
    named = getattr(config, "architectures", None) or []
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        refuse(f"has architectures {named!r:.60} in its config.json; it should be a list of names.")
    sizes = {key: getattr(config, key, None) for key in LIMITS}
    for key, size in sizes.items():
        if size is not None and (not isinstance(size, int) or not 1 <= size <= LIMITS[key]):
            refuse(
                f"has {key} {size!r:.60} in its config.json; it should be a whole number from 1 to "
                f"{LIMITS[key]:,}."
            )
    hidden, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    if hidden and heads and getattr(config, "head_dim", None) is None and hidden % heads:
        refuse(f"has a hidden_size of {hidden}, which its {heads} attention heads do not divide.")


def check_files(name: str, folder: Path) -> None:
    """Nothing if the folder's weights are whole safetensors of its own.

    Raises UserError if it has none, holds an adapter alone, or an index that names other files.
    """
    import safetensors

    weights = sorted(folder.glob("*.safetensors"))
    if not weights and (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{name} holds an adapter and no model; merge it into its base model "
            "(peft: merge_and_unload) and save that.",
            key="teacher.model",
        )
    if not weights:
        raise UserError(
            f"{name} has no safetensors weights and no pytorch_model.bin; convert it once: "
            "AutoModel.from_pretrained(...).save_pretrained(...).",
            key="teacher.model",
        )
    for file in weights:
        try:
            with safetensors.safe_open(file, framework="numpy"):
                pass  # opening reads the header and compares the file's length with it
        except Exception as error:  # the library's and the system's
            raise UserError(
                f"cannot read safetensors weights ({file.name}) of {name} ({error}).",
                key="teacher.model",
            ) from error
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shard_files(index, "safetensors ")


def shard_files(index: Path, kind: str = "") -> list[Path]:
    """The files that an index of shards names, which lie beside it; of `safetensors `, those that
    end so.

    Raises UserError if it cannot be read, or names anything else.
    """
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(shard) for shard in named.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index} is not an index of shards ({type(error).__name__}: {error}).",
            key="teacher.model",
        ) from error
    for name in names:
        path = index.parent / name
        if path.parent != index.parent or not path.is_file() or not name.endswith(kind.strip()):
            raise UserError(
                f"{index} names {name!r:.80}, which is no {kind}file of that folder.",
                key="teacher.model",
            )
    return [index.parent / name for name in names]


def check_shapes(name: str, folder: Path, config: PretrainedConfig, auto: Any) -> None:
    """Nothing if the weights' shapes are those of the model that the config describes; only the
    files' headers are read, and nothing is built in memory.

    Raises UserError naming the first weight of another shape.
    """
    import safetensors
    import torch

    try:
        with torch.device("meta"):
            model = auto.from_config(config)
    except Exception as error:  # whatever a model's code raises is about its config
        raise UserError(
            f"{name}: no model can be built of its config.json ({error}).", key="teacher.model"
        ) from error
    expected = model.state_dict()
    prefix = f"{model.base_model_prefix}."
    for file in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(file, framework="numpy") as weights:
            for key in weights.keys():  # noqa: SIM118 - not a dictionary
                stored = weights.get_slice(key)
                shape, kind = list(stored.get_shape()), stored.get_dtype()
                for candidate in (key, prefix + key, key.removeprefix(prefix)):
                    wanted = expected.get(candidate)
                    if wanted is not None and list(wanted.shape) != shape:
                        raise UserError(
                            f"{name}: {key} is {shape} in {file.name}, and by its config.json "
                            f"{list(wanted.shape)}; they are of different models.",
                            key="teacher.model",
                        )
                    if wanted is not None and wanted.is_floating_point() and kind not in FLOATS:
                        raise UserError(
                            f"{name}: {key} is of type {kind} in {file.name}, where floating-point "
                            "numbers should be; name the model before it was quantised.",
                            key="teacher.model",
                        )


def missing_from_encoder(model: PreTrainedModel, missing: Iterable[str]) -> list[str]:
    """Those of the `missing` weights that the encoder computes with."""
    encoder = {name for name, _ in model.base_model.named_parameters()}
    prefix = f"{model.base_model_prefix}."
    return sorted(
        name
        for name in missing
        if name.removeprefix(prefix) in encoder and not NOT_NEEDED.search(name)
    )


def tied_names(model: PreTrainedModel) -> list[str]:
    """Weights of the head that are the embeddings again, or zeros, and stand in no file."""
    tied = getattr(model, "_tied_weights_keys", None) or []
    return [*tied, *(name for name, _ in model.named_parameters() if name.endswith("decoder.bias"))]


def check_present(name: str, model: PreTrainedModel, missing: Iterable[str]) -> None:
    """Nothing if the file had the encoder's weights. Raises UserError naming those it lacks."""
    if lacking := missing_from_encoder(model, missing):
        total = sum(1 for _ in model.base_model.parameters())
        raise UserError(
            f"{name} lacks {len(lacking)} of the {total} weights that its config.json asks for "
            f"({shortened(lacking)}); they would be random. Its weights have other names, or are "
            "of another architecture.",
            key="teacher.model",
        )


def check_finite(name: str, model: PreTrainedModel) -> None:
    """Nothing if every weight is a finite number. Raises UserError naming the tensor with one that
    is not.
    """
    for tensor_name, tensor in model.named_parameters():
        # The sum of finite numbers is finite, but for an overflow, which the slower look rules out.
        if not tensor.sum().isfinite() and not (finite := tensor.isfinite()).all():
            raise UserError(
                f"{name}: {int((~finite).sum()):,} of the numbers in {tensor_name} are not finite; "
                "the weights are damaged, or training them diverged.",
                key="teacher.model",
            )


def check_tokenizer(name: str, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing if the loaded `tokenizer` splits words as the folder's tokenizer.json does, or there
    is none.

    Raises UserError that names the class to declare, where the class declared, or guessed, made
    another tokenizer of it.
    """
    file = folder / "tokenizer.json"
    if not file.is_file() or not getattr(tokenizer, "is_fast", False):
        return
    from tokenizers import Tokenizer

    try:
        from_file = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{file} cannot be read ({error}); save the tokenizer again.", key="teacher.model"
        ) from error
    words = probe_words(from_file.get_vocab(with_added_tokens=False))
    loaded = tokenizer.backend_tokenizer
    try:
        same = [loaded.encode(word).ids == from_file.encode(word).ids for word in words]
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{name}: its tokenizer splits no text ({error}): {declared(folder, tokenizer)}.",
            key="teacher.model",
        ) from error
    if words and sum(same) < LEAST_AGREEMENT * len(words):
        example = words[same.index(False)]
        raise UserError(
            f"{name}: its tokenizer.json splits {example!r} into "
            f"{' '.join(from_file.encode(example).tokens)}, and as loaded by transformers it is "
            f"{' '.join(loaded.encode(example).tokens)}: {declared(folder, tokenizer)}. Set "
            '"tokenizer_class": "PreTrainedTokenizerFast" in its tokenizer_config.json.',
            key="teacher.model",
        )


def probe_words(vocabulary: Iterable[str]) -> list[str]:
    """Words made of a tokenizer's own pieces, two of them each, the same at every call."""
    letters = sorted(
        {stripped for piece in vocabulary if (stripped := piece.strip("▁Ġ#")).isalpha()}
    )
    step = max(1, len(letters) // PROBES)
    chosen = letters[::step][:PROBES]
    return [" ".join(pair) for pair in zip(chosen, reversed(chosen), strict=True)]


def declared(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """Which class the folder declares for its tokenizer, or which one was guessed."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        given = config.get("tokenizer_class")
    except (OSError, ValueError, AttributeError):
        given = None
    if given:
        return f"its tokenizer_config.json declares {given}"
    return f"its tokenizer_config.json declares no class, and {type(tokenizer).__name__} was taken"


def shortened(names: Sequence[str]) -> str:
    """The first few of the names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
