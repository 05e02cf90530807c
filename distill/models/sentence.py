"""What a sentence-transformers folder says of how its vectors are made: modules.json and the files
that it names.

Trimming and distillation make vectors of pooled states. A teacher that does more with them, or less
with its text, would be distilled into another model without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.runtime.errors import UserError

MODULES, SETTINGS = "modules.json", "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceFiles:
    """How a folder makes sentence vectors."""

    pooling: str | None
    """`mean`, `cls`, or what else it is called; None if nothing is said."""
    further: tuple[str, ...]
    """The modules after pooling that change a vector's direction, by name."""
    lower_case: bool
    """Whether text is lower-cased before the tokenizer sees it."""
    prompts: Mapping[str, str]
    """What stands in front of texts, by the kind of text; empty if nothing is said."""


def read_sentence_files(folder: Path) -> SentenceFiles:
    """What the folder says; nothing where it has no modules.json. Raises UserError if a file cannot
    be read.
    """
    if not (folder / MODULES).is_file():
        return SentenceFiles(pooling=None, further=(), lower_case=False, prompts={})
    modules = _json(folder / MODULES)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise UserError(f"{folder / MODULES} should hold a list of modules.", key="teacher.model")
    pooling: str | None = None
    further: list[str] = []
    for module in modules:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        path = str(module.get("path", ""))
        if kind == "Pooling":
            pooling = _pooling(_json(folder / path / "config.json"))
        elif kind not in ("Transformer", "Normalize"):
            further.append(path or kind)
    settings = _json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    return SentenceFiles(
        pooling=pooling,
        further=tuple(further),
        lower_case=isinstance(settings, dict) and bool(settings.get("do_lower_case")),
        prompts=_prompts(_json(folder / PROMPTS)) if (folder / PROMPTS).is_file() else {},
    )


def check_sentence_files(name: str, folder: Path, pooling: str) -> None:
    """Nothing if vectors pooled by `pooling` are those that the folder makes, but for their length.

    Raises UserError naming what is another.
    """
    found = read_sentence_files(folder)
    if found.pooling is not None and found.pooling != pooling:
        raise UserError(
            f"{name} makes its vectors by {found.pooling} pooling (1_Pooling/config.json), and the "
            f"recipe says {pooling}; "
            + (
                f"set teacher.pooling: {found.pooling}."
                if found.pooling in ("mean", "cls")
                else "only mean and cls can be imitated."
            ),
            key="teacher.pooling",
        )
    if found.further:
        raise UserError(
            f"{name} passes its pooled vectors through {', '.join(found.further)} (modules.json), "
            "which the student would not have; choose a teacher without it, or take the line out "
            "of its modules.json to imitate the vectors before it.",
            key="teacher.model",
        )
    if found.lower_case:
        raise UserError(
            f"{name} lower-cases text before its tokenizer ({SETTINGS}: do_lower_case), which "
            "neither the student nor its ONNX file would do; put a Lowercase normaliser into "
            "its tokenizer.json, and set do_lower_case to false.",
            key="teacher.model",
        )


def _pooling(config: Any) -> str | None:
    """The mode of a pooling module's config, of old files and new."""
    if not isinstance(config, dict):
        return None
    if isinstance(named := config.get("pooling_mode"), str):
        return named
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    return "+".join(names.get(mode, mode.removeprefix("pooling_mode_")) for mode in modes) or None


def _prompts(whole: Any) -> dict[str, str]:
    """The prompts of a model's whole config; kinds of text without one are left out, and so are all
    where none has any.
    """
    named = whole.get("prompts") if isinstance(whole, dict) else None
    found = {str(kind): str(prompt or "") for kind, prompt in (named or {}).items()}
    return found if any(found.values()) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).", key="teacher.model") from error
