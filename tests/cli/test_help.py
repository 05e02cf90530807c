"""What the command line says of itself."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable

import pytest
import typer

from distill import __version__
from distill.cli.app import DAY, app
from distill.cli.recipe import EXAMPLES
from tests.conftest import python_output

Distill = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXAMPLE_OF = {
    command.__name__.replace("_", "-"): example
    for commands in DAY.values()
    for command, (_, example) in commands.items()
}


def test_the_commands_come_in_the_order_of_a_day() -> None:
    assert list(COMMANDS) == [
        *("doctor", "recipes", "new", "recipe", "ui", "export"),
        *("trim", "compare-vocabularies", "benchmark", "inspect"),
    ]


def parse(line: str) -> None:
    program, command, *arguments = shlex.split(line)
    assert program == "distill"
    COMMANDS[command].make_context(command, arguments)


@pytest.mark.parametrize("command", EXAMPLE_OF)
def test_every_commands_example_is_a_call_of_it(command: str) -> None:
    assert EXAMPLE_OF[command].startswith(f"distill {command}")
    parse(EXAMPLE_OF[command])


def test_a_recipes_help_has_three_examples_that_are_calls_of_it() -> None:
    examples = re.findall(r"^distill .+$", EXAMPLES, flags=re.M)
    assert len(examples) == 3
    for example in examples:
        parse(example)


@pytest.mark.parametrize("command", EXAMPLE_OF)
def test_every_option_with_a_value_says_its_default(command: str) -> None:
    for option in COMMANDS[command].params:
        if not option.required and not option.is_flag:
            told = isinstance(option.show_default, str) or option.default is not None
            assert told, f"{command} --{option.name}"


def test_the_defaults_that_benchmark_says_are_those_of_a_recipe() -> None:
    from distill.recipe import BenchmarkSection

    section = BenchmarkSection()
    for option in COMMANDS["benchmark"].params:
        if option.name in ("threads", "batch_sizes", "lengths"):
            values = ",".join(map(str, getattr(section, option.name)))
            assert option.show_default == values
    assert section.seconds == 4


def test_help_and_version_load_nothing_that_computes() -> None:
    probe = "import sys, distill.cli; print(*sys.modules)"
    heavy = {"torch", "numpy", "pydantic", "transformers", "mlflow", "huggingface_hub", "yaml"}
    assert not heavy & set(python_output(probe).split())


def test_the_version_is_told(distill: Distill) -> None:
    assert distill("--version").stdout == f"distill {__version__}\n"


def test_a_shell_completes_recipes_and_stages(distill: Distill) -> None:
    asked = {"_TYPER_COMPLETE_ARGS": "distill recipe qu", "_DISTILL_COMPLETE": "complete_bash"}
    asked |= {"COMP_WORDS": "distill recipe qu", "COMP_CWORD": "2"}
    script = "from distill.cli.app import app; app(prog_name='distill')"
    assert python_output(script, check=False, **asked).split() == ["quickstart.yaml"]
