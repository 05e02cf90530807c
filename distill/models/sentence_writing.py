"""What sentence-transformers reads beside a model: how vectors are pooled, what becomes of them,
what stands in front of a text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from distill.models.after_pooling import WEIGHTS, AfterPooling, Dense
from distill.models.loading import LoadedModel, position_limit
from distill.models.sentence import MODULES, PROMPTS, SETTINGS
from distill.models.sentence_form import SentenceForm

_KEYS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_ALWAYS = ("cls", "mean", "max", "mean_sqrt_len_tokens")


class ModuleEntry(TypedDict):
    """One entry of modules.json."""

    idx: int
    name: str
    path: str
    type: str


def write_sentence_modules(
    folder: Path, form: SentenceForm, *, width: int, length: int
) -> list[ModuleEntry]:
    """Write the modules by which `SentenceTransformer(folder)` makes the vectors, and say which
    they are, as modules.json does.

    `width` is that of a hidden state, `length` how many tokens the encoder reads. The classes go by
    their names since version 1, which every later version knows; `pooling_mode_...` and
    `max_seq_length` are what text-embeddings-inference reads.
    """
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {_KEYS[mode]: mode == form.pooling for mode in (*_ALWAYS, form.pooling)}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    for layer, (path, _) in zip(form.after.layers, described_layers(form.after), strict=True):
        (folder / path).mkdir(exist_ok=True)
        if isinstance(layer, Dense):
            _write_dense(layer, folder / path)
        modules.append((path, type(layer).__name__))
    length = min(length, form.length or length)
    settings = {"max_seq_length": length, "do_lower_case": form.lower_case}
    write_json(folder / SETTINGS, settings)
    return [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (path, kind) in enumerate(modules)
    ]


def described_layers(after: AfterPooling) -> tuple[tuple[str, str | None], ...]:
    """For each layer its folder, and of a Dense one its activation."""
    return tuple(
        (f"{index}_{type(layer).__name__}", layer.activation if isinstance(layer, Dense) else None)
        for index, layer in enumerate(after.layers, start=2)
    )


def write_sentence_form(
    folder: Path, form: SentenceForm, *, width: int, length: int
) -> list[ModuleEntry]:
    """Write all that makes the folder of an encoder one of sentence-transformers; its modules."""
    modules = write_sentence_modules(folder, form, width=width, length=length)
    write_json(folder / MODULES, modules)
    write_usage(folder, form)
    return modules


def write_form_of(model: LoadedModel, form: SentenceForm, folder: Path) -> list[ModuleEntry]:
    """The same of a model in memory that was saved to the folder."""
    length = min(model.tokenizer.model_max_length, position_limit(model.model))
    return write_sentence_form(folder, form, width=model.model.config.hidden_size, length=length)


def write_usage(folder: Path, form: SentenceForm) -> None:
    """Write prompts, similarity and where vectors are cut."""
    contents: dict[str, object] = {
        "prompts": dict(form.prompts),
        "default_prompt_name": form.default_prompt,
        "similarity_fn_name": form.after.similarity,
    }
    if form.after.width is not None:
        contents["truncate_dim"] = form.after.width
    write_json(folder / PROMPTS, contents)
    if (
        form.after.dimensions and (folder / "config.json").is_file()
    ):  # as vLLM reads it, and this package
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, config | {"matryoshka_dimensions": list(form.after.dimensions)})


def _write_dense(layer: Dense, folder: Path) -> None:
    from safetensors.torch import save_file

    kind = "linear.Identity" if layer.activation == "Identity" else f"activation.{layer.activation}"
    config = {
        "in_features": layer.inputs,
        "out_features": layer.outputs,
        "bias": layer.bias is not None,
        "activation_function": f"torch.nn.modules.{kind}",
    }
    write_json(folder / "config.json", config)
    tensors = {"linear.weight": layer.weight, "linear.bias": layer.bias}
    kept = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in tensors.items()
        if tensor is not None
    }
    save_file(kept, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)


def write_json(path: Path, content: Any) -> None:
    """Write a file of sentence-transformers."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
