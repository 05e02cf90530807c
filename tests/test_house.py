"""The house: which room may import which, and that nothing lies at the root."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

from tests.conftest import ROOT

PACKAGE = ROOT / "distill"
FLOORS = (
    {"cli"},
    {"library"},
    {"pipeline"},
    {
        "benchmark",
        "corpus",
        "distillation",
        "evaluation",
        "export",
        "inspection",
        "new",
        "onnx",
        "openvino",
        "student",
        "vocabulary",
    },
    {"models", "training", "report", "tracking"},
    {"runtime", "recipe"},
)
"""The rooms from the top down; a room imports from its own floor and from those below."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports() -> dict[str, set[str]]:
    """For each room the rooms that its modules import from, inside functions too."""
    found: dict[str, set[str]] = {room: set() for room in FLOOR_OF}
    for path in PACKAGE.rglob("*.py"):
        room, *rest = path.relative_to(PACKAGE).parts
        if rest:
            found[room] |= {
                name for name in imported_rooms(ast.parse(path.read_text())) if name != room
            }
    return found


def imported_rooms(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["distill"]:
                names |= {alias.name for alias in node.names}
            elif parts[0] == "distill":
                names.add(parts[1])
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("distill.")
            }
    return names


def test_nothing_lies_at_the_root_but_the_package_itself() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed"}


def test_every_room_has_a_floor() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(FLOOR_OF)


def test_imports_never_climb() -> None:
    climbing = {
        f"{room} imports {other}"
        for room, others in imports().items()
        for other in others
        if FLOOR_OF.get(other, -1) < FLOOR_OF[room]
    }
    assert not climbing


def test_rooms_import_one_another_without_a_circle() -> None:
    try:
        tuple(TopologicalSorter(imports()).static_order())
    except CycleError as error:
        raise AssertionError(f"a circle of imports: {' -> '.join(error.args[1])}") from error
