"""`distill.inspect`: what each layer of any models knows of language and meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from distill.library.models import Model, by_name, display, load
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.report.results.inspection import InspectionResult


def inspect(
    models: Mapping[str, Model] | Sequence[str] | str,
    sentences: Path | str,
    *,
    kept: str | None = None,
    languages: Sequence[str] | None = None,
    max_sentences: int | None = None,
    pooling: str = "mean",
    prefix: str = "",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    seed: int = 0,
    output: Path | str | None = None,
    progress: bool | None = None,
) -> InspectionResult:
    """Figures of every layer of every model, on sentences that are translations of one another.

    `sentences` is a file with columns id, text and language, or a folder with a file for each
    language; `kept` is the language that the students are for. With `output`, figures, tables and a
    page are left there. Raises UserError for input that cannot be read.
    """
    from pydantic import ValidationError

    from distill.inspection.inspect import inspect_models
    from distill.models import model_identity
    from distill.recipe import InspectionSection, TeacherSection
    from distill.runtime.hashes import FileHashes

    named = by_name(models)
    try:
        section = InspectionSection.model_validate(
            {
                "sentences": str(sentences),
                "languages": None if languages is None else list(languages),
                "max_sentences": max_sentences,
                "precision": precision,
            }
        ).model_copy(update={"models": list(named)})
        teacher = TeacherSection.model_validate(
            {"model": next(iter(named), ""), "pooling": pooling, "prefixes": {"query": prefix}}
        )
    except ValidationError as error:
        raise UserError(f"inspect: {error}") from error

    def identify(name: str) -> dict[str, object]:
        model = named[name]
        if isinstance(model, str):
            return model_identity(model, "main", FileHashes())
        return {"in memory": id(model), "name": name}

    with TemporaryDirectory() as temporary:
        folder = Path(output or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return inspect_models(
            section,
            load=lambda name: load(named[name], None),
            identify=identify,
            teacher_section=teacher,
            kept=kept,
            seed=seed,
            output=folder,
            progress=display(progress),
        )
