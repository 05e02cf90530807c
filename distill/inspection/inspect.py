"""The inspection stage: models and parallel sentences go in; figures of every layer, and a page to
look at them, come out.

Hidden states are computed once for each model and kept in states/; everything else is made of
those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.inspection.cka import cka_map
from distill.inspection.languages import spread_over_families
from distill.inspection.layer_states import kept_vectors, layer_vectors, states_name
from distill.inspection.measures import Matrices, measure_languages, measure_layers
from distill.inspection.projection import Projection, project_layers
from distill.inspection.sentences import Parallel, read_sentences
from distill.inspection.unknown import Spelling, spell
from distill.inspection.writing import write_all
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.recipe import InspectionSection, TeacherSection
from distill.report.results.inspection import InspectedModel, InspectionResult
from distill.runtime.extras import NEEDS_MAPS, check_extra
from distill.runtime.interruption import Interruption
from distill.runtime.precision import choose_precision
from distill.runtime.progress import Progress, Task


def inspect_models(
    section: InspectionSection,
    *,
    load: Callable[[str], LoadedModel],
    identify: Callable[[str], Mapping[str, Any]],
    teacher_section: TeacherSection,
    kept: str | None,
    seed: int,
    output: Path,
    progress: Progress,
    interruption: Interruption | None = None,
) -> InspectionResult:
    """Look into every model of the section; `load` gives a model by name, `identify` what its files
    are.

    `kept` is the language that the students were made for. Takes up the states that `output`
    already holds. Raises UserError for what the user can put right, and Interrupted after a signal.
    """
    check_extra("inspect", NEEDS_MAPS)
    parallel = read_sentences(section, kept, seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = choose_precision(section.precision, device)
    states = _States(parallel, teacher_section, precision, device, output / "states")
    drawn = _Drawn(parallel, section, kept, seed)
    compared = _rows_of(kept, parallel)
    models: list[InspectedModel] = []
    matrices: dict[str, Matrices] = {}
    maps: dict[str, np.ndarray] = {}
    first: np.ndarray | None = None
    percent = 100 / len(section.models)
    with progress.task("inspection", total=100, unit="%") as bar:
        for name in section.models:
            if interruption is not None:
                interruption.check()
            spellings, vectors = states.of(
                load(name),
                identify(name),
                _share_of(bar, 0.6 * percent, f"hidden states of {name}"),
            )
            first = vectors if first is None else first
            languages = len(parallel.languages)
            shown = _share_of(bar, 0.4 * percent, f"layers of {name}")
            layers, matrices[name] = measure_layers(vectors, languages, seed=seed, advance=shown)
            like = next(iter(maps.values()))[0] if maps else None
            maps[name] = project_layers(vectors[:, drawn.rows], seed=seed, like=like)
            models.append(
                InspectedModel(
                    model=name,
                    layers=layers,
                    languages=measure_languages(
                        parallel.languages, spellings, matrices[name], kept
                    ),
                    cka=cka_map(vectors[:, compared], first[:, compared]).round(4).tolist(),
                )
            )
    result = InspectionResult(
        sentences=len(parallel.ids),
        languages=list(parallel.languages),
        kept=kept,
        precision=precision,
        models=models,
    )
    write_all(result, matrices, drawn.projection(maps), output)
    return result


class _Drawn:
    """The few sentences in the languages that the projection shows."""

    def __init__(
        self, parallel: Parallel, section: InspectionSection, kept: str | None, seed: int
    ) -> None:
        self._parallel = parallel
        self.languages = spread_over_families(parallel.languages, section.drawn_languages, kept)
        count = min(section.drawn_sentences, len(parallel.ids))
        self.sentences = sorted(
            np.random.default_rng([seed, 1]).permutation(len(parallel.ids))[:count].tolist()
        )
        places = [parallel.languages.index(language) for language in self.languages]
        self.rows = np.array(
            [position * len(parallel.ids) + i for position in places for i in self.sentences]
        )

    def projection(self, maps: Mapping[str, np.ndarray]) -> Projection:
        """What is drawn: `maps` has for each model float32 [layers, languages x sentences, 2]."""
        shape = (len(self.languages), len(self.sentences), 2)
        texts = dict(zip(self._parallel.languages, self._parallel.texts, strict=True))
        return Projection(
            languages=tuple(self.languages),
            ids=tuple(self._parallel.ids[i] for i in self.sentences),
            texts=tuple(
                tuple(texts[language][i] for i in self.sentences) for language in self.languages
            ),
            points={name: drawn.reshape(len(drawn), *shape) for name, drawn in maps.items()},
        )


class _States:
    """What is computed by running a model: how it spells the sentences, and the vectors of all of
    them, which are kept.
    """

    def __init__(
        self,
        parallel: Parallel,
        teacher_section: TeacherSection,
        precision: str,
        device: torch.device,
        folder: Path,
    ) -> None:
        self._parallel, self._precision, self._device, self._folder = (
            parallel,
            precision,
            device,
            folder,
        )
        self._pooling, self._prefix = teacher_section.pooling, teacher_section.prefixes.query

    def of(
        self, model: LoadedModel, identity: Mapping[str, Any], advance: Callable[[float], object]
    ) -> tuple[list[Spelling], np.ndarray]:
        """Of each language its spelling, and the vectors, [layers, languages x sentences,
        width].
        """
        longest = min(model.tokenizer.model_max_length, position_limit(model.model))
        texts = self._parallel.rows(self._prefix)
        settings = {
            "pooling": self._pooling,
            "longest": longest,
            "precision": self._precision,
            "model": identity,
        }

        def compute() -> np.ndarray:
            return layer_vectors(
                model.model.to(self._device),
                model.tokenizer,
                texts,
                pooling=self._pooling,
                longest=longest,
                precision=self._precision,
                advance=lambda done: advance(done / len(texts)),
            )

        vectors = kept_vectors(self._folder / states_name(texts, settings), compute)
        return [
            spell(model.tokenizer, of_language) for of_language in self._parallel.texts
        ], vectors


def _rows_of(language: str | None, parallel: Parallel) -> slice:
    """Where the sentences of a language stand, or all of them without one.

    What a student makes of languages that it cannot spell would hide which layer it imitates.
    """
    if language is None:
        return slice(None)
    at, count = parallel.languages.index(language), len(parallel.ids)
    return slice(at * count, (at + 1) * count)


def _share_of(bar: Task, percent: float, detail: str) -> Callable[[float], object]:
    """Takes shares of something that is `percent` of the whole."""
    return lambda share: bar.advance(percent * share, detail)
