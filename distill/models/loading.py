"""Models and tokenizers from a Hub id, a local folder or `package:<name>`; safetensors, or pickles
of nothing but weights; no remote code.

Every error that a user can put right (no such model, no safetensors, no tokenizer) leaves here as a
UserError.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.models.packaged import packaged_teacher
from distill.models.pickled import converted, pickled_files
from distill.models.rehearsal import check_computes, check_labels, check_length
from distill.models.sentence import CARD, MODULES, PROMPTS, SETTINGS, read_sentence_files
from distill.models.soundness import (
    check_config,
    check_files,
    check_finite,
    check_present,
    check_shapes,
    check_tokenizer,
    tied_names,
)
from distill.recipe.model_reference import ModelRef, no_folder
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes
from distill.runtime.hub import hub_or_cache

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class UnreachableModelError(UserError):
    """A model's files cannot be had from here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A model with its tokenizer, in memory."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def model_identity(model: str, revision: str, hashes: FileHashes) -> dict[str, object]:
    """What identifies the content of a model's files: for fingerprints.

    A folder is known by the hashes of its files, wherever it lies; a Hub model by its id and
    revision. Raises UserError if a folder is named and is not there.
    """
    reference = ModelRef.of(model)
    if reference.package is not None:
        return {"package": model, "folder": packaged_teacher(reference.package).name}
    folder = Path(model)
    if folder.is_dir():
        return {"files": hashes.of_folder(folder, folder.iterdir())}
    if reference.kind == "folder":
        raise UserError(no_folder(model), key="teacher.model")
    return {"hub": model, "revision": revision}


def load_config(model: str, revision: str = "main") -> PretrainedConfig:
    """The model's configuration; nothing else is fetched. Raises UserError if there is none, or if
    it is not one of a text encoder.
    """
    from transformers import AutoConfig

    location = _resolve(model)
    check_labels(model, Path(location))
    with _Explained(model, "config.json"):
        config = AutoConfig.from_pretrained(location, revision=revision, trust_remote_code=False)
    check_config(model, config)
    return config


def load_tokenizer(model: str, revision: str = "main") -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises UserError if there is none that trimming knows."""
    from transformers import AutoTokenizer

    location = _resolve(model)
    with _Explained(model, "a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            location, revision=revision, trust_remote_code=False
        )
    if not (getattr(tokenizer, "is_fast", False) or type(tokenizer).__name__ == "XLMTokenizer"):
        raise UserError(
            f"{model} has no fast tokenizer (tokenizer.json), which trimming needs.",
            key="teacher.model",
        )
    # Where the files are missing, transformers makes a tokenizer up that knows its special tokens
    # and a space.
    if len(tokenizer) - len(set(tokenizer.all_special_tokens)) <= 1:
        raise UserError(
            f"the tokenizer of {model} has no pieces; its tokenizer.json seems to be missing.",
            key="teacher.model",
        )
    check_length(model, tokenizer)
    check_tokenizer(model, model_folder(model, revision), tokenizer)
    return tokenizer


def load_model(
    model: str | Path, revision: str = "main", *, dtype: str = "float32"
) -> PreTrainedModel:
    """The model in evaluation mode, with the head that its weights have: a language model's, or a
    fine-tuned one's.

    Raises UserError if the model is not there, has no safetensors, or lacks weights, and if a
    weight is not a finite number.
    """
    import transformers

    name = str(model)
    config = load_config(name, revision)
    location = check_weights(name, config, revision)

    def load(auto: Any) -> tuple[PreTrainedModel, set[str]]:
        with _Explained(name, "safetensors weights"):
            loaded, notes = auto.from_pretrained(
                location,
                revision=revision,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=dtype,
                output_loading_info=True,
            )
        return loaded, set(notes["missing_keys"])

    loaded, missing = load(auto_class(config))
    check_present(name, loaded, missing)
    # A head that the file lacks would be random.
    if loaded.base_model is not loaded and missing - set(tied_names(loaded)):
        loaded, _ = load(transformers.AutoModel)
    check_finite(name, loaded)
    check_computes(name, loaded.eval())
    _align_head(loaded)
    return loaded


_SMALL = 4_000_000
"""Numbers of a matrix of a head; a larger one is a table of pieces, which should not be copied."""


def _align_head(model: PreTrainedModel) -> None:
    """Move the weights beyond the encoder's layers out of the mapped file, where they may stand
    anywhere: the last bit of a product with one row depends on where its matrix lies.
    """
    encoder = model.base_model
    pooler = getattr(encoder, "pooler", None)
    pooling = {id(weight) for weight in pooler.parameters()} if pooler is not None else set()
    inner = {id(weight) for weight in encoder.parameters()} - pooling
    for weight in model.parameters():
        if id(weight) not in inner and weight.numel() < _SMALL:
            weight.data = weight.data.clone()


_HEADS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering")


def auto_class(config: PretrainedConfig) -> Any:
    """The auto class of the head that a configuration's architecture has (language model, classes,
    tags, answers), or of the bare encoder.
    """
    import transformers

    named = (getattr(config, "architectures", None) or [""])[0]
    return getattr(transformers, auto_class_name(named))


def auto_class_name(architecture: str) -> str:
    """The same of an architecture's name."""
    if architecture == "XLMWithLMHeadModel":
        return "AutoModelForMaskedLM"
    head_name = next((head for head in _HEADS if architecture.endswith(f"For{head}")), "")
    return f"AutoModelFor{head_name}" if head_name else "AutoModel"


def check_weights(model: str, config: PretrainedConfig, revision: str = "main") -> str:
    """Where the model's weights are, which are whole safetensors that fit its config; a Hub model's
    are known when they are fetched. Raises UserError.
    """
    location = weights_location(model, revision)
    if (folder := Path(location)).is_dir():
        check_files(model, folder)
        check_shapes(model, folder, config, auto_class(config))
    return location


def weights_location(model: str, revision: str) -> str:
    """Where the model's safetensors are: its folder, a folder in the cache with what its pickles
    hold, or its Hub id. Raises UserError if a pickle holds more than weights.
    """
    location = _resolve(model)
    if (folder := Path(location)).is_dir():
        files = pickled_files(folder)
        return str(converted(folder, files)) if files else location
    from huggingface_hub import list_repo_files, snapshot_download

    fetched: Path | None = None
    # A model that cannot be reached is told of where it is loaded.
    with hub_or_cache(), suppress(Exception):
        names = list_repo_files(model, revision=revision)
        if not any(name.endswith(".safetensors") for name in names):
            patterns = ["*.json", "*.txt", "*.model", "pytorch_model*.bin"]
            fetched = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    if fetched and (files := pickled_files(fetched)):
        return str(converted(fetched, files))
    return location


def model_folder(model: str, revision: str) -> Path:
    """The folder that holds the model's files: its own, or the cached snapshot of a Hub model that
    was loaded before.
    """
    location = Path(_resolve(model))
    if location.is_dir():
        return location
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(config).parent if isinstance(config, str) else location


def own_prompts(model: str, revision: str = "main") -> list[str]:
    """What a model's own files say stands before its texts; nothing where they say nothing."""
    with suppress(UserError, OSError, ValueError):
        return list(read_sentence_files(sentence_folder(model, revision)).prompts.values())
    return []


def sentence_folder(model: str, revision: str) -> Path:
    """The folder with what a model says of its sentence vectors; of a Hub model, these files alone
    are fetched.
    """
    reference = ModelRef.of(model)
    if reference.package is None and not Path(_resolve(model)).is_dir():
        from huggingface_hub import snapshot_download

        patterns = [MODULES, SETTINGS, PROMPTS, CARD, "config.json", "*/config.json", "*Dense*/*"]
        # A model that cannot be reached is told of where its config is read.
        with hub_or_cache(), suppress(Exception):
            return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    return model_folder(model, revision)


def load_with_tokenizer(model: str, revision: str = "main") -> LoadedModel:
    """Model and tokenizer together."""
    return LoadedModel(model=load_model(model, revision), tokenizer=load_tokenizer(model, revision))


def position_limit(model: PreTrainedModel) -> int:
    """How many tokens the model has positions for; RoBERTa's kind start counting after the padding
    id.
    """
    positions: int = model.config.max_position_embeddings
    table: Any = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    offset = (
        table.padding_idx + 1
        if table is not None and getattr(table, "padding_idx", None) is not None
        else 0
    )
    return positions - offset


def _resolve(model: str) -> str:
    """What `from_pretrained` understands: a folder's path or a Hub id."""
    reference = ModelRef.of(model)
    if reference.package is not None:
        return str(packaged_teacher(reference.package))
    folder = Path(model)
    if reference.kind == "folder" and not folder.is_dir():
        raise UserError(no_folder(model), key="teacher.model")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(
            f"the folder {model} has no config.json; it should hold a transformers model.",
            key="teacher.model",
        )
    return model


class _Explained:
    """Turns what `from_pretrained` raises for a model that cannot be had into one sentence about
    it.
    """

    def __init__(self, model: str, wanted: str) -> None:
        self.model, self.wanted = model, wanted
        self.on_hub = ModelRef.of(model).kind == "hub"
        self.obstacle: str | None = None
        self.hub = ExitStack()

    def __enter__(self) -> None:
        if self.on_hub:
            self.obstacle = self.hub.enter_context(hub_or_cache())

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.hub.close()
        # Whatever a reader raises is about what it was given.
        if not isinstance(error, Exception) or isinstance(error, UserError):
            return
        text = str(error).strip()
        reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
        if self.obstacle is not None and isinstance(error, OSError):
            reason = f"{self.obstacle}, and the cache has none"
        raise UnreachableModelError(
            f"cannot read {self.wanted} of {self.model} ({reason}). "
            "It should be a Hub id that can be reached from here, a folder with safetensors, or "
            "package:multilingual-e5-small.",
            key="teacher.model",
        ) from error
