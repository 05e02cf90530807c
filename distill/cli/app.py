"""The command line: parse, call, print. Exit codes: 0 done, 2 the user's input is wrong, 1 anything
else.
"""

from __future__ import annotations

import errno
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
from distill.runtime.secrets import without_password

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
    except Exception as error:
        if advice := advice_on_path(error):
            _fail(advice)
        if is_disk_full(error):
            _fail(
                "No space left on the device; what is done is kept. Free some and run the same "
                "command again."
            )
        ERR.print(
            "This is a fault in distill, not in what you gave it; please report it with the lines "
            "below.",
            style="red",
            soft_wrap=True,
        )
        raise


_ADVICE = {
    errno.EACCES: "name another folder, or change its permissions",
    errno.EPERM: "name another folder, or change its permissions",
    errno.EROFS: "name a folder on another disk",
    errno.EEXIST: "a file is where a folder should be; name another place, or move it",
    errno.ENOTDIR: "a file is where a folder should be; name another place, or move it",
    errno.EISDIR: "a folder is where a file should be; name another place, or move it",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def advice_on_path(error: Exception) -> str | None:
    """What the user can do about a path that the system refuses, in one sentence; None if the error
    is of another kind.
    """
    if not isinstance(error, OSError) or error.filename is None or error.errno not in _ADVICE:
        return None
    path = error.filename2 or error.filename  # of a rename, what it leads to
    return f"{path}: {error.strerror}; {_ADVICE[error.errno]}."


def _fail(message: str) -> None:
    """Print a user's mistake and leave with code 2; of the processes of a launch the first alone
    prints.
    """
    if os.environ.get("RANK", "0") == "0":
        ERR.print(escape(without_password(message)), style="red", soft_wrap=True)
    sys.exit(2)
