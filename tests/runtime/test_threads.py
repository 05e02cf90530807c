from __future__ import annotations

import pytest

from distill.runtime.threads import let_threads_rest
from tests.conftest import python_output


def test_waiting_threads_soon_give_their_core_away() -> None:
    environment: dict[str, str] = {}
    let_threads_rest(environment)
    assert 0 < int(environment["GOMP_SPINCOUNT"]) < 300_000


@pytest.mark.parametrize("said", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_what_the_user_said_of_waiting_threads_stands(said: dict[str, str]) -> None:
    environment = dict(said)
    let_threads_rest(environment)
    assert environment == said


def test_a_command_sets_it_before_torch_reads_it() -> None:
    program = """
import os, sys
sys.argv = ["distill", "--version"]
from distill.cli import main
assert "torch" not in sys.modules
try:
    main()
except SystemExit:
    pass
print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules)
"""
    assert python_output(program).splitlines()[-1] == "5000 False"
