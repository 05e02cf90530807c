"""What a sentence-transformers folder says of how its vectors are made: modules.json and the files
that it names.

Trimming and distillation carry what they know: pooling, Dense layers, Normalize, prompts, the
similarity, the length of texts. A teacher that does more with its vectors is refused by name, for
it would be distilled into another model without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.recipe.teacher import POOLINGS
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.recipe import TeacherSection

MODULES, SETTINGS = "modules.json", "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"
CARD = "README.md"
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
USUAL_DIMENSIONS = (64, 128, 256)
"""Where a model says that its vectors can be cut short, and not where."""
ACTIVATIONS = ("Tanh", "Identity", "GELU", "ReLU", "SiLU", "Sigmoid")
"""The activations of a Dense layer that are carried, by their names in torch.nn."""
_PACKAGE = "sentence_transformers."
_UNSEEN = ("Dropout",)
"""Modules that do nothing once a model is trained."""
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A module after pooling."""

    kind: str
    """`Dense` or `Normalize`."""
    path: str
    """Its folder's name."""
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceFiles:
    """How a folder makes sentence vectors; the defaults are those of one that says nothing."""

    pooling: str | None = None
    """One of `POOLINGS`, or what else it is called; None if nothing is said."""
    after: tuple[Module, ...] = ()
    """The modules after pooling that are carried, in their order."""
    refused: tuple[str, ...] = ()
    """What cannot be carried, each as a sentence goes on after the model's name."""
    lower_case: bool = False
    """Whether text is lower-cased before the tokenizer sees it."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What stands in front of texts, by the kind of text; empty if nothing is said."""
    default_prompt: str | None = None
    """The kind of text that one is taken for of which nothing is said."""
    similarity: str = "cosine"
    """How two vectors are compared: one of `SIMILARITIES`."""
    length: int | None = None
    """How many tokens of a text are read, where that is said."""
    width: int | None = None
    """To how many numbers vectors are cut, where that is said."""
    dimensions: tuple[int, ...] = ()
    """To how many they may be cut (Matryoshka), as far as that is said; in rising order."""

    @property
    def query(self) -> str:
        """What stands in front of a query."""
        return self.prompts.get("query", "")

    @property
    def passage(self) -> str:
        """What stands in front of a passage."""
        return self.prompts.get("passage", self.prompts.get("document", ""))


def read_sentence_files(folder: Path) -> SentenceFiles:
    """What the folder says; nothing where it has no modules.json. Raises UserError if a file cannot
    be read.
    """
    if not (folder / MODULES).is_file():
        return SentenceFiles()
    modules = _json(folder / MODULES)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise UserError(f"{folder / MODULES} should hold a list of modules.", key="teacher.model")
    pooling, after, refused = _read_modules(folder, modules)
    settings = _object(folder / SETTINGS)
    contents = _object(folder / PROMPTS)
    length, width = settings.get("max_seq_length"), contents.get("truncate_dim")
    similarity = contents.get("similarity_fn_name") or "cosine"
    if similarity not in SIMILARITIES:
        refused.append(f"compares vectors by {similarity} ({PROMPTS}), which distill does not know")
        similarity = "cosine"
    return SentenceFiles(
        pooling=pooling,
        after=tuple(after),
        refused=tuple(refused),
        lower_case=bool(settings.get("do_lower_case")),
        prompts=_prompts(contents),
        default_prompt=contents.get("default_prompt_name"),
        similarity=similarity,
        length=length if isinstance(length, int) and length > 0 else None,
        width=width if isinstance(width, int) and width > 0 else None,
        dimensions=_dimensions(folder),
    )


def check_sentence_files(name: str, folder: Path, pooling: str | None) -> None:
    """Nothing if vectors pooled by `pooling` (None: as the folder says) are those that the folder
    makes.

    Raises UserError naming what is another.
    """
    files = read_sentence_files(folder)
    if files.refused:
        raise UserError(f"{name} {files.refused[0]}.", key="teacher.model")
    if files.pooling is not None and pooling is not None and files.pooling != pooling:
        raise UserError(
            f"{name} makes its vectors by {files.pooling} pooling (1_Pooling/config.json), and the "
            f"recipe says {pooling}; set teacher.pooling: {files.pooling}, or leave it out.",
            key="teacher.pooling",
        )
    if files.lower_case:
        raise UserError(
            f"{name} lower-cases text before its tokenizer ({SETTINGS}: do_lower_case), which "
            "neither the student nor its ONNX file would do; put a Lowercase normaliser into "
            "its tokenizer.json, and set do_lower_case to false.",
            key="teacher.model",
        )


def as_files_say(teacher: TeacherSection, files: SentenceFiles) -> TeacherSection:
    """The section with what it leaves out as the teacher's own files have it."""
    said: dict[str, object] = {}
    if files.pooling in POOLINGS:
        said["pooling"] = files.pooling
    if files.prompts:
        said["prefixes"] = type(teacher.prefixes)(query=files.query, passage=files.passage)
    if files.dimensions:
        said["dimensions"] = list(files.dimensions)
    left_out = {key: value for key, value in said.items() if key not in teacher.model_fields_set}
    return teacher.model_copy(update=left_out)


def _read_modules(
    folder: Path, modules: Sequence[Mapping[str, Any]]
) -> tuple[str | None, list[Module], list[str]]:
    """Pooling, what is carried after it, and what is refused."""
    pooling: str | None = None
    after: list[Module] = []
    refused: list[str] = []
    for module in modules:
        named, path = str(module.get("type", "")), str(module.get("path", ""))
        kind, where = named.rsplit(".", 1)[-1], path or named
        config = _object(folder / path / "config.json") if path else {}
        why: str | None = None
        if not named.startswith(_PACKAGE):
            refused.append(
                f"passes its vectors through {where} ({MODULES}), whose code ({named}) is not "
                "sentence-transformers' own; remote code is never run, so choose a teacher "
                "without it"
            )
        elif kind == "Pooling":
            pooling, why = _pooling(config)
            refused += [why] if why else []
        elif kind == "Dense" and (why := _unknown_dense(where, config)):
            refused.append(why)
        elif kind in ("Dense", "Normalize"):
            after.append(Module(kind=kind, path=path, config=config))
        elif kind not in ("Transformer", *_UNSEEN):
            refused.append(
                f"passes its vectors through {where} ({MODULES}), which the student would not "
                "have; choose a teacher without it, or take the line out of its modules.json to "
                "imitate the vectors before it"
            )
    return pooling, after, refused


def _pooling(config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The mode of a pooling module's config, of old files and new; and why it is refused."""
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else list(named or ())
    modes = modes or [mode for key, mode in _MODES.items() if config.get(key)]
    if len(modes) > 1 or (modes and modes[0] not in POOLINGS):
        joined = "+".join(map(str, modes))
        return joined, f"pools by {joined}, of which distill knows {', '.join(POOLINGS)}, one alone"
    if config.get("include_prompt") is False:
        return modes[0] if modes else None, (
            "leaves its prompts out of pooling (include_prompt: false), which the student could "
            "not be taught"
        )
    return (modes[0] if modes else None), None


def _unknown_dense(where: str, config: Mapping[str, Any]) -> str | None:
    """Why a Dense layer cannot be carried; None if it can."""
    activation = str(config.get("activation_function") or "torch.nn.modules.linear.Identity")
    if not activation.startswith("torch.nn.") or activation.rsplit(".", 1)[-1] not in ACTIVATIONS:
        return (
            f"passes its vectors through {where}, whose activation {activation} is not among those "
            f"of torch that distill knows ({', '.join(ACTIVATIONS)}); remote code is never run"
        )
    names = {config.get("module_input_name"), config.get("module_output_name")}
    if config.get("use_residual") or names - {None, "sentence_embedding"}:
        return (
            f"passes its vectors through {where} with a residual, or something else than the "
            "pooled vector, which distill does not know"
        )
    return None


def _dimensions(folder: Path) -> tuple[int, ...]:
    """Where vectors may be cut, by config.json or, as sentence-transformers writes it, by the card
    of a model that was trained with MatryoshkaLoss.
    """
    config, card = _object(folder / "config.json"), folder / CARD
    said = config.get("matryoshka_dimensions")
    if not said and card.is_file():
        text = card.read_text(encoding="utf-8", errors="replace")
        match = re.search(r'"?matryoshka_dims"?:\s*\[([\d,\s]+)\]', text)
        said = [int(number) for number in match[1].split(",") if number.strip()] if match else None
    if not said and config.get("is_matryoshka"):
        said = list(USUAL_DIMENSIONS)
    numbers = said if isinstance(said, list) else []
    return tuple(sorted({one for one in numbers if isinstance(one, int) and one > 0}))


def _prompts(config: Mapping[str, Any]) -> dict[str, str]:
    """The prompts of a model's whole config; kinds of text without one are left out, and so are all
    where none has any.
    """
    named = config.get("prompts")
    prompts = {str(kind): str(prompt or "") for kind, prompt in (named or {}).items()}
    return prompts if any(prompts.values()) else {}


def _object(path: Path) -> Mapping[str, Any]:
    """A file's object; an empty one where there is no file, or it holds something else."""
    content = _json(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).", key="teacher.model") from error
