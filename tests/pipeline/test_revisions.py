from __future__ import annotations

import ast
import json

import pytest

from distill.pipeline.stages import STAGES
from tests.pipeline import revisions

NAMES = [stage.name for stage in STAGES]


@pytest.mark.parametrize("stage", NAMES)
def test_a_change_of_what_a_stage_computes_with_was_looked_at(stage: str) -> None:
    noted = json.loads(revisions.NOTED.read_text(encoding="utf-8"))[stage]
    assert revisions.revisions()[stage] == noted, (
        f"the code that {stage} computes with has changed: if its results do, raise `revision` in "
        f"distill/pipeline/stages/{stage}.py; then run `make revisions`"
    )


def test_what_a_stage_computes_with_includes_what_its_room_imports() -> None:
    modules = revisions.computed_with("distillation")
    assert {"distill.distillation.loop", "distill.training.loop", "distill.models.heads"} <= modules
    assert not any(name.startswith(("distill.cli", "distill.tracking")) for name in modules)


def test_comments_docstrings_and_formatting_mean_nothing() -> None:
    plain, dressed = "x = f(1)", '"""Doc."""\nx = f(\n    1\n)  # a comment\n'
    assert revisions.meaning(ast.parse(plain)) == revisions.meaning(ast.parse(dressed))
    assert revisions.meaning(ast.parse(plain)) != revisions.meaning(ast.parse("x = f(2)"))


def test_what_is_empty_says_nothing_since_versions_of_python_differ_in_it() -> None:
    plain = ast.parse("def f(): return 1")
    (function,) = plain.body
    assert isinstance(function, ast.FunctionDef)
    before = revisions.meaning(plain)
    function.returns, function.decorator_list = None, []
    function._fields = (*function._fields, "of_a_later_python")
    function.of_a_later_python = []  # type: ignore[attr-defined]
    assert revisions.meaning(plain) == before
    assert "value" in before and "None" in revisions.meaning(ast.parse("x = None"))
