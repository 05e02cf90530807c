"""What is said where a package that only some commands need is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.pipeline.checks import check_surroundings
from distill.recipe.reading import load_recipe
from distill.runtime import extras
from distill.runtime.errors import UserError
from distill.runtime.extras import check_extra
from tests.conftest import ROOT


def test_a_missing_package_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "mlflow", ("there_is_no_such_package",))
    with pytest.raises(UserError) as told:
        check_extra("mlflow", "ui opens MLflow")
    assert str(told.value) == (
        "ui opens MLflow, and there_is_no_such_package is not installed: "
        "pip install 'distill[mlflow]'."
    )


def test_every_extra_that_is_told_is_one_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in extras.EXTRAS:
        assert f"\n{extra} = [" in text
        assert extra in text.split("\nall = [")[1].split("]\n")[0]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("mlflow", "a recipe's run is kept in MLflow, and"),
        ("inspect", "inspection: the look inside draws maps of layers, and"),
    ],
)
def test_a_recipe_that_needs_it_is_refused_before_anything_runs(
    write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, extra: str, says: str
) -> None:
    monkeypatch.setitem(extras.EXTRAS, extra, ("there_is_no_such_package",))
    recipe = write_recipe(inspection={"sentences": "parallel.jsonl"})
    with pytest.raises(UserError, match=says):
        check_surroundings(load_recipe(str(recipe)).recipe)
