"""What the figures of an inspection are called in its tables, plots and page: names come out, and
of a model a short one.
"""

from __future__ import annotations

LAYER_TITLES = {
    "retrieval": "retrieval",
    "retrieval_centred": "centred",
    "neighbour_translation": "nearest is a translation",
    "neighbour_language": "nearest is of the language",
    "language_accuracy": "probe",
    "anisotropy": "anisotropy",
}
"""The figures of `LayerFigures` as a column says them."""
LAYER_LABELS = {
    "retrieval": "translation nearest, of the other language",
    "retrieval_centred": "the same, centred by language",
    "neighbour_translation": "nearest vector of all: a translation",
    "neighbour_language": "nearest vector of all: same language",
    "language_accuracy": "language named by a linear probe",
    "anisotropy": "anisotropy, the mean cosine",
}
"""The same where there is room, as above a plot."""
LANGUAGE_TITLES = {
    "unknown_pieces": "unknown pieces",
    "unknown_characters": "unknown characters",
    "retrieval": "retrieval, all languages",
    "retrieval_centred": "centred",
    "retrieval_kept": "retrieval, {kept}",
    "retrieval_kept_centred": "centred",
}
"""The figures of `LanguageFigures` as a column says them; {kept} is the students' language."""


def short_name(model: str) -> str:
    """A model's name on a figure: of a path the last parts."""
    parts = model.rstrip("/").split("/")
    return model if len(parts) <= 2 and not model.startswith((".", "/")) else "/".join(parts[-2:])
