"""What is measured: the name of any model goes in; its weights and files, or its shape with random weights, come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.benchmark.baselines import baseline_names, find_baseline
from distill.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_FLOAT32_BYTES = 4


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


def subject_of(model: PreTrainedModel, folder: Path) -> Subject:
    """A model that was loaded from `folder`."""
    return Subject(model=model, parameters=model.num_parameters(), folder=folder, bytes_on_disk=size_on_disk(folder))


def open_subject(name: str) -> Subject:
    """A model by Hub id, folder, folder of a run, or `package:<name>`; by its configuration where its weights cannot be had.

    Raises UserError if neither can be had.
    """
    from distill.teacher import load_model
    from distill.teacher.loading import model_folder

    location = _location(name)
    try:
        return subject_of(load_model(location), model_folder(location, "main"))
    except UserError as error:
        try:
            config, unknown = _config_of(location)
        except UserError:
            raise _as_model(error) from error
    model = _random_model(config)
    parameters = None if unknown else model.num_parameters()
    reason = "no weights here: random ones in the shape of its config"
    reason += f", whose {', '.join(unknown)} is not known" if unknown else "; on disk: those parameters in float32"
    return Subject(
        model=model,
        parameters=parameters,
        folder=None,
        bytes_on_disk=None if parameters is None else _FLOAT32_BYTES * parameters,
        reason=reason,
    )


def check_subject(name: str) -> None:
    """Check that `open_subject` will find at least the model's configuration. Raises UserError."""
    if find_baseline(name) is not None:
        return
    try:
        _config_of(_location(name))
    except UserError as error:
        raise _as_model(error) from error


def describe_subject(name: str) -> dict[str, Any]:
    """What identifies the model's files without reading weights: for fingerprints. Raises UserError for a missing folder."""
    from distill.teacher import describe_teacher

    try:
        return describe_teacher(_location(name), "main")
    except UserError as error:
        raise _as_model(error) from error


def size_on_disk(folder: Path) -> int:
    """Bytes of the folder's weights and tokenizer: what somebody who uses the model has to fetch."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", *_BESIDES))


def size_without_weights(folder: Path) -> int:
    """Bytes of what goes with the weights, in whatever form those are: configuration and tokenizer."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in _BESIDES)


_BESIDES = (".json", ".model", ".txt")


def _location(name: str) -> str:
    """A run's folder stands for the student that it exported."""
    folder = Path(name)
    if not (folder / "config.json").is_file() and (folder / "export" / "config.json").is_file():
        return str(folder / "export")
    return name


def _config_of(location: str) -> tuple[PretrainedConfig, tuple[str, ...]]:
    """The model's own configuration, or the one that comes with the package, and what is unknown of it."""
    from distill.teacher import load_config

    try:
        return load_config(location), ()
    except UserError:
        known = find_baseline(location)
        if known is None:
            raise
        return known.config, known.unknown


def _random_model(config: PretrainedConfig) -> PreTrainedModel:
    """The bare encoder of a configuration, with the same random weights every time."""
    import torch
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = AutoModel.from_config(config).eval()
    return model


def _as_model(error: UserError) -> UserError:
    """The same mistake, told of a model to be measured."""
    text = str(error).removeprefix("teacher.model: ")
    if "It should be a Hub id" in text:
        text += f" Known without weights: {', '.join(baseline_names())}."
    return UserError(text)
