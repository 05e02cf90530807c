from __future__ import annotations

from distill.inspection.writing import draw_figures, file_names, to_markdown
from tests.inspection.examples import example


def test_tables_name_models_layers_and_languages() -> None:
    text = to_markdown(example()[0])
    assert "| teacher | 4 | 100.0% |" in text and "| student | 2 | 100.0% |" in text
    assert "| student | Swedish (sv) | 12.5% | 50.0% | 75.0% | 80.0% | – | – |" in text
    assert "retrieval, sv" in text and "3 sentences in 3 languages" in text


def test_a_model_has_files_of_its_own() -> None:
    assert file_names(["a/b/model", "c/b/model", "../x y", "..."]) == [
        "b-model",
        "b-model-2",
        "x-y",
        "model",
    ]


def test_every_model_has_its_maps_and_its_likeness() -> None:
    assert set(draw_figures(*example())) == {
        "layers",
        "projection-teacher",
        "cka-teacher",
        "projection-student",
        "cka-student",
    }
