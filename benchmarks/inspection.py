"""Keeps what a look inside a finished run found, and whether three observations on multilingual
encoders hold there.

    DISTILL_DATA=... .venv/bin/python -m distill recipe swedish-small
    .venv/bin/python benchmarks/inspection.py swedish-small

reads runs/swedish-small/inspection/, writes benchmarks/results/inspection.json with the run's
figures beside it, and prints the tables of docs/results.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from provenance import provenance

from distill.inspection.writing import layer_cells, layer_titles, read_figures
from distill.report.canvas import to_png
from distill.report.formats import format_share, markdown_table

RESULTS = Path(__file__).parent / "results"
FIGURES = ("layers", "projection-teacher", "projection-student", "cka-student")


def main(name: str) -> None:
    """Keep the inspection of the finished run of that name."""
    folder = Path("runs", name, "inspection")
    found = json.loads((folder / "inspection.json").read_text(encoding="utf-8"))
    seconds = json.loads((folder / "stage.json").read_text(encoding="utf-8"))["seconds"]
    models = [
        {key: value for key, value in model.items() if key != "matrices"}
        for model in found["models"]
    ]
    kept = {**provenance(), "seconds": round(seconds, 1), **found, "models": models}
    (RESULTS / "inspection.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    figures = read_figures(folder)
    for figure in FIGURES:
        (RESULTS / f"inspection-{figure}.png").write_bytes(_fewer_colours(to_png(figures[figure])))
    print(
        layer_table(kept),
        "\n",
        languages_table(kept),
        "\n",
        observations(kept["models"][0]),
        sep="\n",
    )
    print(f"\n{kept['seconds']} s; kept in {RESULTS / 'inspection.json'}")


def layer_table(kept: Mapping[str, Any]) -> str:
    """The teacher, layer by layer, as the run's own tables say it."""
    return markdown_table(layer_titles(), map(layer_cells, kept["models"][0]["layers"]), words=1)


def languages_table(kept: Mapping[str, Any]) -> str:
    """Each model's last layer in a few groups of languages, by how the kept one's vocabulary spells
    them.
    """
    trimmed = {row["language"]: row["unknown_characters"] for row in kept["models"][1]["languages"]}
    abroad = [language for language in trimmed if language != kept["kept"]]
    groups = {
        "spelled with its pieces": [language for language in abroad if trimmed[language] < 0.05],
        "in part": [language for language in abroad if 0.05 <= trimmed[language] < 0.5],
        "in other scripts": [language for language in abroad if trimmed[language] >= 0.5],
    }
    names = [model["model"] for model in kept["models"]]
    lines = []
    for group, members in groups.items():
        if members:
            rows = [
                {row["language"]: row for row in model["languages"]} for model in kept["models"]
            ]
            found = [
                format_share(fmean(of[language]["retrieval_kept"] for language in members))
                for of in rows
            ]
            unknown = format_share(fmean(trimmed[language] for language in members))
            lines.append([f"{group}: {' '.join(members)}", *found, unknown])
    return markdown_table(["", *names, "unknown characters"], lines, words=1)


def observations(model: Mapping[str, Any]) -> str:
    """The figures by which three observations stand or fall: languages first, meanings in the
    middle, languages at the end.
    """
    layers = model["layers"]
    apart, together = (
        max(layers, key=lambda row: row["neighbour_language"]),
        max(layers, key=lambda row: row["neighbour_translation"]),
    )
    last = layers[-1]
    return (
        f"{model['model']}: the nearest vector is of the same language most often in layer "
        f"{apart['layer']} "
        f"({apart['neighbour_language']:.1%}) and a translation most often in layer "
        f"{together['layer']} "
        f"({together['neighbour_translation']:.1%}); in the last layer "
        f"{last['neighbour_language']:.1%} and "
        f"{last['neighbour_translation']:.1%}. A linear probe names the language in "
        f"{layers[0]['language_accuracy']:.1%} of the embeddings' and "
        f"{last['language_accuracy']:.1%} of the last layer's "
        "vectors."
    )


def _fewer_colours(png: bytes) -> bytes:
    """The picture in 128 colours, a third of its size."""
    from io import BytesIO

    from PIL import Image

    kept = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(128).save(kept, "PNG", optimize=True)
    return kept.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["swedish-small"])
