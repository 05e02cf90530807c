"""What an inspection leaves in its folder: data, tables, figures and the interactive page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.inspection.languages import language_name
from distill.inspection.plots import cka_plot, layers_plot, projection_plot
from distill.inspection.projection import Projection
from distill.inspection.wording import LANGUAGE_TITLES, LAYER_TITLES, short_name
from distill.report.canvas import to_png
from distill.report.formats import format_score, format_share, markdown_table
from distill.report.grid import to_csv
from distill.runtime.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from distill.inspection.measures import Matrices
    from distill.report.results.inspection import InspectionResult

PAGE = "inspection.html"
_DATA, _PROJECTION = "inspection.json", "projection.json"


def write_all(
    result: InspectionResult, matrices: Mapping[str, Matrices], projection: Projection, folder: Path
) -> None:
    """Write data, tables, the page, and every figure of `draw_figures`."""
    from distill.inspection.page import render_page

    content = asdict(result)
    models = content["models"]
    for model in models:
        matrix = matrices[model["model"]]
        model["matrices"] = {
            "retrieval": _plain(matrix.plain),
            "retrieval_centred": _plain(matrix.centred),
        }
    drawn = {
        **asdict(projection),
        "points": {name: matrix.round(3).tolist() for name, matrix in projection.points.items()},
    }
    write_whole(folder / _DATA, json.dumps(content, ensure_ascii=False) + "\n")
    write_whole(folder / _PROJECTION, json.dumps(drawn, ensure_ascii=False) + "\n")
    write_whole(folder / "inspection.md", to_markdown(content))
    write_whole(
        folder / "layers.csv",
        to_csv([{"model": m["model"], **row} for m in models for row in m["layers"]]),
    )
    write_whole(
        folder / "languages.csv",
        to_csv([{"model": m["model"], **row} for m in models for row in m["languages"]]),
    )
    write_whole(folder / "pairs.csv", to_csv(list(_pairs(content))))
    write_whole(folder / PAGE, render_page(content, projection))
    for name, figure in draw_figures(content, projection).items():
        (folder / f"{name}.png").write_bytes(to_png(figure))


def draw_figures(content: Mapping[str, Any], projection: Projection) -> dict[str, Figure]:
    """The curves, and of each model its projection and its likeness to the first, by the names of
    their files.
    """
    models = content["models"]
    figures = {"layers": layers_plot(models, len(content["languages"]), content["sentences"])}
    for model, name in zip(models, file_names([model["model"] for model in models]), strict=True):
        figures[f"projection-{name}"] = projection_plot(projection, model)
        figures[f"cka-{name}"] = cka_plot(model, models[0]["model"])
    return figures


def read_figures(folder: Path) -> dict[str, Figure]:
    """The figures of an inspection that `write_all` left in `folder`, drawn anew."""
    content = json.loads((folder / _DATA).read_text(encoding="utf-8"))
    drawn = json.loads((folder / _PROJECTION).read_text(encoding="utf-8"))
    points = {
        name: np.array(drawn_points, dtype=np.float32)
        for name, drawn_points in drawn.pop("points").items()
    }
    return draw_figures(content, Projection(**drawn, points=points))


def to_markdown(content: Mapping[str, Any]) -> str:
    """The figures of layers and of languages as tables, and what they mean."""
    models = [(short_name(model["model"]), model) for model in content["models"]]
    layers = [[name, *layer_cells(row)] for name, model in models for row in model["layers"]]
    languages = [
        [name, *language_cells(row)] for name, model in models for row in model["languages"]
    ]
    note = (
        f"{content['sentences']} sentences in {len(content['languages'])} languages; pooled "
        f"states, {content['precision']}. "
        "Retrieval: how often a sentence's translation is the nearest sentence of the other "
        "language by cosine, over all pairs "
        "of languages in both directions, as it is and with the mean of each language taken out. "
        "Nearest: what the nearest of "
        "all vectors is. Probe: how often a linear one names the language of sentences that it has "
        "not seen; chance is "
        f"{1 / len(content['languages']):.1%}. Anisotropy: the mean cosine of two vectors. Layer 0 "
        "is the embeddings'."
    )
    parts = [
        "# Layer by layer",
        note,
        markdown_table(["model", *layer_titles()], layers, words=2),
        "# Language by language, in the last layer",
        markdown_table(["model", *language_titles(content["kept"])], languages, words=2),
    ]
    return "\n\n".join(parts) + "\n"


def layer_titles() -> list[str]:
    """What `layer_cells` says."""
    return ["layer", *LAYER_TITLES.values()]


def layer_cells(row: Mapping[str, Any]) -> list[str]:
    """One layer's figures as text."""
    *shares, cosine = (row[key] for key in LAYER_TITLES)
    return [str(row["layer"]), *map(format_share, shares), format_score(cosine)]


def language_titles(kept: str | None) -> list[str]:
    """What `language_cells` says, where `kept` is the students' language."""
    return ["language", *(title.format(kept=kept or "–") for title in LANGUAGE_TITLES.values())]


def language_cells(row: Mapping[str, Any]) -> list[str]:
    """One language's figures as text."""
    code = row["language"]
    name = language_name(code)
    return [
        code if name == code else f"{name} ({code})",
        *(format_share(row[key]) for key in LANGUAGE_TITLES),
    ]


def file_names(models: Sequence[str]) -> list[str]:
    """A distinct name for each model that a file can have."""
    names: list[str] = []
    for model in models:
        name = (
            "".join(c if c.isalnum() or c in "._-" else "-" for c in short_name(model)).strip("-.")
            or "model"
        )
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _pairs(content: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    languages = content["languages"]
    for model in content["models"]:
        plain, centred = model["matrices"]["retrieval"], model["matrices"]["retrieval_centred"]
        for layer in range(len(plain)):
            for i, source in enumerate(languages):
                for j, target in enumerate(languages):
                    if i != j:
                        yield {
                            "model": model["model"],
                            "layer": layer,
                            "from": source,
                            "into": target,
                            "retrieval": plain[layer][i][j],
                            "retrieval_centred": centred[layer][i][j],
                        }


def _plain(matrix: np.ndarray) -> Any:
    """Nested lists as JSON has them: null for what is no number."""
    cells: np.ndarray = matrix.round(4).astype(object)
    cells[np.isnan(matrix)] = None
    return cells.tolist()
