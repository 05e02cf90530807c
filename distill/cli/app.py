"""The command line: parse, call, print. Exit codes: 0 done, 2 the user's input is wrong, 1 anything
else.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape

from distill.cli.benchmark import benchmark
from distill.cli.compare_vocabularies import compare_vocabularies
from distill.cli.console import ERR
from distill.cli.doctor import doctor
from distill.cli.export import export
from distill.cli.inspect import inspect
from distill.cli.new import new
from distill.cli.recipe import EXAMPLES, recipe
from distill.cli.recipes import recipes
from distill.cli.trim import trim
from distill.cli.ui import ui
from distill.runtime.errors import UserError, is_disk_full, without_long_words
from distill.runtime.secrets import without_password
from distill.runtime.threads import let_threads_rest
from distill.runtime.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

DAY: dict[str, dict[Callable[..., None], tuple[str, str]]] = {
    "From text to a student": {
        doctor: ("What this machine has, and what of it is used.", "distill doctor"),
        recipes: ("The recipes that can be run by name.", "distill recipes"),
        new: ("Write a commented recipe for a language.", "distill new danish"),
        recipe: (
            "Run a recipe: text and a teacher in; student, proof, scores and report out.",
            "distill recipe danish.yaml --dry-run",
        ),
        ui: ("Look at runs side by side, in MLflow.", "distill ui"),
        export: (
            "Hand a finished run's student over, to a folder or the Hub.",
            "distill export runs/danish --push my-group/danish --dry-run",
        ),
    },
    "Any models, without a recipe": {
        trim: (
            "Trim a vocabulary to the pieces that text files use, with a proof.",
            "distill trim FacebookAI/xlm-roberta-base texts/*.txt --output trimmed",
        ),
        compare_vocabularies: (
            "Two vocabularies on the same text: identical sentences, unknowns, tokens a word.",
            "distill compare-vocabularies trimmed runs/danish --text posts.txt",
        ),
        benchmark: (
            "Size, latency and memory, and with --tasks scores.",
            "distill benchmark runs/danish KB/bert-base-swedish-cased",
        ),
        inspect: (
            "What each layer knows of language and of meaning.",
            "distill inspect runs/danish --sentences parallel.jsonl --output inside",
        ),
    },
}
"""The commands in the order of a user's day, each with its line in --help and an example."""
for panel, commands in DAY.items():
    for command, (summary, example) in commands.items():
        app.command(
            short_help=f"{summary}\n[dim]{escape(example)}[/dim]",
            epilog=EXAMPLES if command is recipe else f"Example: {escape(example)}",
            rich_help_panel=panel,
        )(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distill {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and leave.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """One small monolingual encoder out of a large multilingual one, from one YAML file."""


def main() -> None:
    """Run the command line; every way out has its exit code, and a user's mistake one message
    without a traceback.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    let_threads_rest()
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
        told = escape(without_long_words(without_password(message)))
        ERR.print(told, style="red", soft_wrap=True)
    sys.exit(2)
