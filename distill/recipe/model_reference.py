"""The one way to name a model: one that the run makes, a Hub id, a folder, a run, a package."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OWN_MODELS = (
    "teacher",
    "trimmed",
    "student",
    "student_int8",
    "initial",
    "untrained",
    "scratch",
    "tfidf",
    "asymmetric",
)
"""The models that a run makes."""
_REFERENCES = {"teacher": "the teacher", "trimmed": "the trimmed teacher"}
"""What the others are compared with, in words: the first of them that is measured."""
PACKAGE = "package:"
"""In front of the name of a model that an installed package holds."""


def reference_among(models: Collection[str]) -> str:
    """The model with which the others are compared: the teacher, where that is not among them the
    trimmed one.
    """
    return next((name for name in _REFERENCES if name in models), "teacher")


def reference_in_words(model: str) -> str:
    """A reference as a reader knows it: "the teacher"."""
    return _REFERENCES.get(model, model)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model's name, and what kind of name it is."""

    name: str
    kind: Literal["own", "hub", "folder", "package"]

    @classmethod
    def of(cls, name: str) -> ModelRef:
        """What `name` can only be; a word with one slash is a folder if there is one, else a Hub
        id.
        """
        if name in OWN_MODELS:
            return cls(name, "own")
        if name.startswith(PACKAGE):
            return cls(name, "package")
        is_path = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
        return cls(name, "folder" if is_path or Path(name).is_dir() else "hub")

    @property
    def is_own(self) -> bool:
        """Whether a run makes the model itself."""
        return self.kind == "own"

    @property
    def package(self) -> str | None:
        """What follows `package:`, if that is its kind."""
        return self.name.removeprefix(PACKAGE) if self.kind == "package" else None

    @property
    def location(self) -> str:
        """What it loads from: a run's folder stands for the student that it exported."""
        export = Path(self.name) / "export"
        is_run = not (Path(self.name) / "config.json").is_file()
        return str(export) if is_run and (export / "config.json").is_file() else self.name


def no_folder(name: str) -> str:
    """What is said where a name can only be a folder's, and there is none."""
    return f"there is no folder {name}; a Hub id reads organisation/name."


def check_model_name(name: str, known: Collection[str] = OWN_MODELS) -> str:
    """`name` if it can be a model's: one of `own`, a Hub id, a folder or a package.

    Raises ValueError otherwise, with the nearest name.
    """
    if name in known or "/" in name or name.startswith((PACKAGE, ".", "~")):
        return name
    if name in OWN_MODELS:
        raise ValueError(f"{name} is not among the models here: {', '.join(known)}")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"models: {', '.join(known)},"
    raise ValueError(
        f"there is no model {name!r}; {hint} or a Hub id (organisation/name), or a folder (./name)"
    )
