"""What the tests of figures and page share: a small inspection as `distill.inspection.writing` has
it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from distill.inspection.projection import Projection
from distill.report.results.inspection import LanguageFigures, LayerFigures

LANGUAGES = ("en", "sv", "zh")
HOSTILE = "</script><script>alert(1)</script>\u2028\"'&<b> \\u003c"
TEXTS = (
    ("A cat.", "A <u>dog</u>.", HOSTILE),
    ("En katt.", "En hund.", "Å & ö."),
    ("一只猫。", "一只狗。", "鸟"),
)


def example(
    models: tuple[tuple[str, int], ...] = (("teacher", 4), ("student", 2)),
) -> tuple[dict[str, Any], Projection]:
    """Figures and maps of models, each with so many layers above its embeddings."""
    draw = np.random.default_rng(0)
    depth = models[0][1] + 1
    content = {
        "sentences": 3,
        "languages": list(LANGUAGES),
        "kept": "sv",
        "precision": "float32",
        "models": [
            {
                "model": name,
                "layers": [
                    asdict(layer_figures(layer, (layer + 1) / (layers + 1)))
                    for layer in range(layers + 1)
                ],
                "languages": [asdict(language_figures(code)) for code in LANGUAGES],
                "cka": [
                    [1 - abs(i / (layers + 1) - j / depth) for j in range(depth)]
                    for i in range(layers + 1)
                ],
            }
            for name, layers in models
        ],
    }
    points = {
        name: draw.normal(size=(layers + 1, 3, 3, 2)).astype(np.float32) for name, layers in models
    }
    return content, Projection(languages=LANGUAGES, ids=("1", "2", "3"), texts=TEXTS, points=points)


def layer_figures(layer: int, share: float) -> LayerFigures:
    return LayerFigures(
        layer=layer,
        retrieval=share,
        retrieval_centred=share,
        neighbour_translation=share,
        neighbour_language=1 - share,
        language_accuracy=1 - share,
        anisotropy=share,
    )


def language_figures(code: str) -> LanguageFigures:
    return LanguageFigures(
        language=code,
        unknown_pieces=0.125,
        unknown_characters=0.5,
        pieces_a_sentence=7,
        retrieval=0.75,
        retrieval_centred=0.8,
        retrieval_kept=None if code == "sv" else 0.5,
        retrieval_kept_centred=None if code == "sv" else 0.6,
    )
