"""What is measured: the name of any model goes in; its weights and files, or its shape with random
weights, come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill.benchmark.baselines import baseline_names, find_baseline
from distill.models.loading import UnreachableModelError
from distill.recipe.model_reference import ModelRef
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from distill.models.after_pooling import SentenceVectors
    from distill.onnx.sensitivity import Batch

_FLOAT32_BYTES, _PATIENCE_SECONDS = 4, 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model to be measured."""

    model: PreTrainedModel
    """In float32, on the CPU."""
    parameters: int | None
    """None where part of its shape is not known."""
    folder: Path | None
    """Where its files lie; None where its weights could not be had, and are random."""
    bytes_on_disk: int | None
    """Of its weights and tokenizer; without files those of its parameters in float32."""
    reason: str | None = None
    """What a reader of its figures must know."""
    judged: tuple[Sequence[Batch], SentenceVectors] | None = None
    """Sentences by which export judges the int8 file, and how their vectors are made; without
    them every matrix product is quantised.
    """


def subject_of(
    model: PreTrainedModel,
    folder: Path,
    judged: tuple[Sequence[Batch], SentenceVectors] | None = None,
) -> Subject:
    """A model that was loaded from `folder`."""
    return Subject(
        model=model,
        parameters=model.num_parameters(),
        folder=folder,
        bytes_on_disk=size_on_disk(folder),
        judged=judged,
    )


def open_subject(name: str) -> Subject:
    """A model by Hub id, folder, folder of a run, or `package:<name>`; by its configuration where
    its weights cannot be had.

    Raises UserError if neither can be had.
    """
    from distill.models import load_config, load_model
    from distill.models.loading import model_folder

    location = ModelRef.of(name).location
    known = find_baseline(location)
    if known is not None and not _within_reach(location):
        return _random_subject(known.config, known.unknown)
    try:
        return subject_of(load_model(location), model_folder(location, "main"))
    except UserError as error:
        try:
            return _random_subject(load_config(location), ())
        except UserError:
            raise _as_model(error) from error


def check_subject(name: str) -> None:
    """Check that `open_subject` will find at least the model's configuration. Raises UserError."""
    from distill.models import load_config

    if find_baseline(name) is not None:
        return
    try:
        load_config(ModelRef.of(name).location)
    except UserError as error:
        raise _as_model(error) from error


def describe_subject(name: str, hashes: FileHashes) -> dict[str, object]:
    """What identifies the content of the model's files: for fingerprints. Raises UserError for a
    missing folder.
    """
    from distill.models import model_identity

    try:
        return model_identity(ModelRef.of(name).location, "main", hashes)
    except UserError as error:
        raise _as_model(error) from error


def size_on_disk(folder: Path) -> int:
    """Bytes of the folder's weights and tokenizer: what somebody who uses the model has to
    fetch.
    """
    return sum(
        path.stat().st_size
        for path in folder.iterdir()
        if path.suffix in (".safetensors", *_BESIDES)
    )


def size_without_weights(folder: Path) -> int:
    """Bytes of what goes with the weights, in whatever form those are: configuration and
    tokenizer.
    """
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in _BESIDES)


_BESIDES = (".json", ".model", ".txt")


def _within_reach(model: str) -> bool:
    """Whether the Hub, or its cache here, has the model: one question, where loading would ask
    again and again.
    """
    from huggingface_hub import model_info, try_to_load_from_cache

    from distill.runtime.hub import hub_obstacle

    if isinstance(try_to_load_from_cache(model, "config.json"), str):
        return True
    if hub_obstacle() is not None:
        return False
    try:
        model_info(model, timeout=_PATIENCE_SECONDS)
    except Exception:  # offline, refused, gone: whatever it is, the configuration at hand serves
        return False
    return True


def _random_subject(config: PretrainedConfig, unknown: tuple[str, ...]) -> Subject:
    """The bare encoder of a configuration, with the same random weights every time."""
    import torch
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModel.from_config(config).eval()
    parameters = None if unknown else model.num_parameters()
    return Subject(
        model=model,
        parameters=parameters,
        folder=None,
        bytes_on_disk=None if parameters is None else _FLOAT32_BYTES * parameters,
        reason="no weights here: random ones in the shape of its config"
        + (f", whose {', '.join(unknown)} is not known" if unknown else ""),
    )


def _as_model(error: UserError) -> UserError:
    """The same mistake, told of a model to be measured."""
    text = error.text
    if isinstance(error, UnreachableModelError):
        text += f" Known without weights: {', '.join(baseline_names())}."
    return UserError(text, key="benchmark.models" if error.key else None)
