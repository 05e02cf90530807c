"""The command line: parse, call, print. Exit codes: 0 done, 2 the user's input is wrong, 1 anything
else.
"""

from __future__ import annotations

import os
import sys

import typer
from rich.markup import escape

from distill.cli.benchmark import benchmark
from distill.cli.console import ERR
from distill.cli.export import export
from distill.cli.inspect import inspect
from distill.cli.new import new
from distill.cli.recipe import recipe
from distill.cli.recipes import recipes
from distill.cli.trim import trim
from distill.cli.ui import ui
from distill.runtime.errors import UserError, is_disk_full

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="One small monolingual encoder out of a large multilingual one, from one YAML file.",
)
for command in (recipe, trim, benchmark, export, inspect, recipes, new, ui):
    app.command()(command)


def main() -> None:
    """Run the command line; every way out has its exit code, and a user's mistake one message
    without a traceback.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()  # exits by itself: 2 for a wrong option, 1 for Ctrl-C
    except UserError as error:
        _fail(str(error))
    except PermissionError as error:
        _fail(f"{error.filename}: {error.strerror}; name another folder, or mend its permissions.")
    except Exception as error:
        if is_disk_full(error):
            _fail(
                "No space left on the device; what is done is kept. Free some and run the same "
                "command again."
            )
        raise


def _fail(message: str) -> None:
    """Print a user's mistake and leave with code 2; of the processes of a launch the first alone
    prints.
    """
    if os.environ.get("RANK", "0") == "0":
        ERR.print(escape(message), style="red", soft_wrap=True)
    sys.exit(2)
