"""What is said where the extra is missing."""

from __future__ import annotations

from typing import Any

import pytest

from distill.openvino.installed import check_openvino
from distill.runtime import extras
from distill.runtime.errors import UserError
from tests.conftest import missing_packages

needs_nothing = pytest.mark.skipif(
    not missing_packages("openvino", "nncf"), reason="OpenVINO is installed here"
)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "openvino", ("numpy", "there_is_no_such_package"))
    with pytest.raises(UserError) as told:
        check_openvino("export.openvino")
    assert str(told.value) == (
        "export.openvino: OpenVINO was asked for, and there_is_no_such_package is not installed: "
        "pip install 'distill[openvino]'."
    )


@needs_nothing
@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("export.openvino=true", "export.openvino"),
        ("benchmark.runtimes=[openvino]", "benchmark.runtimes"),
    ],
)
def test_a_recipe_that_asks_for_it_is_refused_before_anything_runs(
    distill: Any, write_recipe: Any, setting: str, key: str
) -> None:
    done = distill("recipe", write_recipe(), "--set", setting)
    assert done.returncode == 2
    assert f"{key}: OpenVINO was asked for" in done.stderr
    assert "Traceback" not in done.stderr and "corpus: done" not in done.stderr


@needs_nothing
def test_a_benchmark_that_asks_for_it_is_refused_in_one_sentence(
    distill: Any, tiny_teacher: Any
) -> None:
    done = distill("benchmark", tiny_teacher, "--runtimes", "openvino")
    assert done.returncode == 2
    assert "--runtimes: OpenVINO was asked for, and openvino and nncf are not" in done.stderr
