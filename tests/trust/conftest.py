"""What the cases of the week share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.mini import Mini, write_mini


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All but the short form is for `make trust`."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("short"):
            item.add_marker("trust")


@pytest.fixture(scope="session")
def mini(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """The recipe of a run of seconds, where nothing was run."""
    folder = tmp_path_factory.mktemp("mini")
    return Mini(folder / "here", write_mini(folder, tiny_teacher))


@pytest.fixture(scope="session")
def finished(mini: Mini) -> Mini:
    """The run that nothing happened to; it is copied, never written to."""
    mini.go_on()
    return mini
