"""What each stage computes with, as hashes: a change of code must be looked at once.

    python -m tests.pipeline.revisions      notes the code as it is now (`make revisions`)

A stage is redone when its revision changes, not when its code does. The test beside this module
fails until the revision was raised, or the change noted because results stay the same.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from distill.pipeline.stages import STAGES

PACKAGE = Path(__file__).parents[2] / "distill"
NOTED = Path(__file__).with_name("revisions.json")
SILENT = {"cli", "pipeline", "report", "tracking"}
"""Rooms that show and keep what others compute."""
SILENT_MODULES = {f"distill.runtime.{name}" for name in ("progress", "errors", "files", "hashes")}


def computed_with(stage: str) -> set[str]:
    """The modules that a stage's file imports, and those that these import, where they compute."""
    seen: set[str] = set()
    waiting = [f"distill.pipeline.stages.{stage}"]
    while waiting:
        for name in imported_modules(waiting.pop()):
            if name not in seen and is_computing(name):
                seen.add(name)
                waiting.append(name)
    return seen


def is_computing(module: str) -> bool:
    return module.split(".")[1] not in SILENT and module not in SILENT_MODULES


@cache
def imported_modules(module: str) -> frozenset[str]:
    """The package's modules that a module imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(source(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("distill."):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if path_of(name).is_file()} or {str(node.module)}
    return frozenset(name for name in names if path_of(name).is_file())


def path_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def source(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@cache
def meaning_of(module: str) -> str:
    return meaning(source(module))


def meaning(tree: ast.Module) -> str:
    """A module without comments, docstrings and formatting."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return repr(structure(tree))


def structure(node: object) -> object:
    """What a module says, alike under every version of Python: `ast.dump` tells empty fields in
    some.
    """
    if isinstance(node, list):
        return [structure(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = [
        (name, structure(value))
        for name, value in ast.iter_fields(node)
        if name == "value" or value not in (None, [])
    ]
    return type(node).__name__, fields


@cache
def revisions() -> dict[str, dict[str, object]]:
    """For each stage its revision and a hash of what it computes with."""
    found: dict[str, dict[str, object]] = {}
    for stage in STAGES:
        digest = sha256()
        for module in sorted(computed_with(stage.name)):
            digest.update(f"{module}\n{meaning_of(module)}".encode())
        found[stage.name] = {"revision": stage.revision, "code": digest.hexdigest()[:16]}
    return found


if __name__ == "__main__":
    NOTED.write_text(json.dumps(revisions(), indent=1) + "\n", encoding="utf-8")
