"""The command line: parse, call, print. Exit codes: 0 done, 2 the user's input is wrong, 1 anything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from distill.errors import Interrupted, UserError, is_disk_full
from distill.progress import Progress

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="One small monolingual encoder out of a large multilingual one, from one YAML file.",
)
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@app.command()
def recipe(
    name: Annotated[str, typer.Argument(help="A recipe's file, or the name of one in recipes/.", metavar="NAME_OR_PATH")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: section.key=value.", metavar="KEY=VALUE")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage.", metavar="STAGE")] = None,
    force: Annotated[str | None, typer.Option(help="Redo this stage, and those after it.", metavar="STAGE")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, run nothing.")] = False,
    runs: Annotated[Path, typer.Option(help="The folder that runs are kept in.")] = Path("runs"),
) -> None:
    """Run a recipe: from text and a teacher to a student with its proof, scores and report."""
    from distill.dry_run import dry_run_lines
    from distill.interruption import Interruption
    from distill.pipeline import follow, run_recipe
    from distill.processes import Processes
    from distill.recipe_file import load_recipe
    from distill.run import Run
    from distill.stages import check_name

    file = load_recipe(name, overrides or [])
    check_name("--until", until)
    check_name("--force", force)
    processes = Processes()
    run = Run(
        file=file,
        folder=runs / file.recipe.name,
        progress=Progress(quiet=not processes.is_first),
        interruption=Interruption(),
        processes=processes,
    )
    if dry_run:
        if processes.is_first:
            for line in dry_run_lines(run, until=until, force=force):
                _out.print(line, markup=False, soft_wrap=True)
        return
    with run.interruption.handled(), _goes_on(quiet=not processes.is_first):
        if processes.is_first:
            run_recipe(run, until=until, force=force)
            processes.share(None)  # there is nothing more to share out
        else:
            follow(run)
        processes.close()
    if not processes.is_first:
        return
    if (run.folder / "report.html").is_file():
        _out.print(f"report: {run.folder / 'report.html'}", markup=False, soft_wrap=True)
    if "export" in run.records:
        _out.print(f"student: {run.folder / 'export'}", markup=False, soft_wrap=True)


@app.command()
def trim(
    model: Annotated[str, typer.Argument(help="A Hub id, a folder, or package:multilingual-e5-small.")],
    text: Annotated[list[str], typer.Argument(help="Text files (txt, jsonl, parquet, conllu, srt; .gz; globs).")],
    output: Annotated[Path, typer.Option(help="The folder to write model, tokenizer, curve and proof to.")],
    identical: Annotated[float | None, typer.Option(help="Keep this share of held-out sentences as they are.")] = None,
    size: Annotated[int | None, typer.Option(help="Keep this many pieces.")] = None,
    coverage: Annotated[float | None, typer.Option(help="Keep this share of running pieces.")] = None,
    min_count: Annotated[int | None, typer.Option(help="Keep pieces seen this often (3 without any target).")] = None,
    floor: Annotated[float, typer.Option(help="Fail if fewer held-out sentences stay as they are.")] = 0.0,
    heldout: Annotated[float, typer.Option(help="Share of the documents kept apart for curve and proof.")] = 0.05,
    lexicon: Annotated[str | None, typer.Option(help="A word list whose pieces stay.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A piece that stays.", metavar="PIECE")] = None,
    keep_pattern: Annotated[str | None, typer.Option(help="Pieces that match this stay.", metavar="REGEX")] = None,
    terms: Annotated[str | None, typer.Option(help="A file of domain terms whose pieces stay.")] = None,
    alphabet: Annotated[bool, typer.Option(help="Keep every character of the language's scripts, and ASCII.")] = True,
    language: Annotated[str | None, typer.Option(help="The text's language (ISO 639-1), to check it.")] = None,
    language_filter: Annotated[bool, typer.Option(help="Leave out documents in another language.")] = False,
    column: Annotated[str, typer.Option(help="The column of jsonl and parquet files that holds the text.")] = "text",
    revision: Annotated[str, typer.Option(help="The Hub model's branch, tag or commit.")] = "main",
) -> None:
    """Trim a model's vocabulary to the pieces that text files use, proven on documents held out."""
    from distill.trim_command import trim_to_folder
    from distill.vocabulary.curve import curve_table

    result = trim_to_folder(
        model,
        revision=revision,
        sources=[{"path": path, "column": column} for path in text],
        corpus={"heldout": heldout, "language_filter": language_filter},
        vocabulary={
            "identical": identical,
            "size": size,
            "coverage": coverage,
            "min_count": min_count,
            "floor": floor,
            "lexicon": lexicon,
            "keep": {"pieces": keep or [], "pattern": keep_pattern, "terms": terms},
            "alphabet": alphabet,
        },
        language=language,
        output=output,
        progress=Progress(),
    )
    _out.print("\n".join(curve_table(result.curve, result.chosen)), markup=False, soft_wrap=True)
    difference = result.max_abs_hidden_difference
    _out.print(
        f"{result.kept:,} of {result.original:,} pieces kept; {result.heldout_identical:.2%} of {result.heldout_sentences:,} "
        f"held-out sentences are segmented as before; largest difference of a hidden state on those: "
        f"{'not measured, there is none' if difference is None else f'{difference:g}'}",
        soft_wrap=True,
    )
    _out.print(f"model: {output}", markup=False, soft_wrap=True)


@app.command()
def benchmark(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Hub ids, folders, runs, package:NAME.")],
    tasks: Annotated[
        str | None, typer.Option(help="Score them, too: a YAML file with a list of tasks, or a recipe.", metavar="FILE")
    ] = None,
    runtimes: Annotated[list[str] | None, typer.Option(help="torch, torch_bfloat16, onnx, onnx_int8 (all four).")] = None,
    devices: Annotated[list[str] | None, typer.Option(help="cpu, cuda (those there are).")] = None,
    threads: Annotated[list[str] | None, typer.Option(help="Numbers of CPU threads, or all (1,all).")] = None,
    batch_sizes: Annotated[list[str] | None, typer.Option(help="Sequences at once (1,8,32).")] = None,
    lengths: Annotated[list[str] | None, typer.Option(help="Tokens of a sequence (32,128,512).")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time for each combination, all models together (4).")] = None,
    output: Annotated[Path, typer.Option(help="The folder to write the figures to.")] = Path("benchmark"),
) -> None:
    """Measure size, latency, memory and loading of any models, beside the floor of what this machine allows.

    With --tasks all are fine-tuned and scored, and compared with the first. Options take several values with commas:
    --threads 1,all.
    """
    from distill.benchmark_command import benchmark_to_folder, comparison_tables
    from distill.interruption import Interruption

    interruption = Interruption()
    with interruption.handled(), _goes_on():
        comparison = benchmark_to_folder(
            models,
            tasks=tasks,
            runtimes=runtimes,
            devices=devices,
            threads=threads,
            batch_sizes=batch_sizes,
            lengths=lengths,
            seconds=seconds,
            output=output,
            progress=Progress(),
            interruption=interruption,
        )
    for part in comparison_tables(comparison):
        _out.print(part, soft_wrap=isinstance(part, str))
    _out.print(f"figures: {', '.join(str(output / name) for name in comparison.files)}", markup=False, soft_wrap=True)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder of a finished run, such as runs/quickstart.")],
    push: Annotated[str | None, typer.Option(help="Push it to this Hub repository.", metavar="ORG/NAME")] = None,
    private: Annotated[bool, typer.Option("--private", help="If the repository is made, only its owner sees it.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch to push to (main).", metavar="BRANCH")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be sent, send nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another model that the repository holds.")] = False,
) -> None:
    """Hand a finished run's student over: the export folder, made anew where it is stale, and pushed if asked."""
    from distill.export_command import export_run
    from distill.pushing import push_run
    from distill.report.formats import format_bytes

    if push is None and (private or revision or force):
        raise UserError("--private, --revision and --force say how to push: name the repository with --push ORG/NAME.")
    files = export_run(run, Progress(), dry_run=dry_run)
    _out.print(f"student: {run / 'export'}: {', '.join(files)}", markup=False, soft_wrap=True)
    if push is None:
        return
    done = push_run(run, push, private=private, revision=revision, force=force, dry_run=dry_run)
    if dry_run:
        made = f", a new {'private' if private else 'public'} repository" if done.created else ""
        told = f"would go to {done.url}{made}, as {done.tag}; nothing was sent"
        _out.print(f"{len(done.sizes)} files, {format_bytes(sum(done.sizes.values()))}, {told}", markup=False, soft_wrap=True)
    else:
        _out.print(f"pushed: {done.url} as {done.tag} (commit {done.commit})", markup=False, soft_wrap=True)
    if done.removed:
        _out.print(f"{'to go' if dry_run else 'gone'}: {', '.join(done.removed)}", markup=False, soft_wrap=True)


@app.command()
def inspect(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Hub ids, folders, runs, package:NAME; the others are held to the first."),
    ],
    sentences: Annotated[str, typer.Option(help="Parallel sentences: a file, or a folder with a file or folder a language.")],
    output: Annotated[Path, typer.Option(help="The folder to write figures, tables and page to.")],
    kept: Annotated[str | None, typer.Option(help="The language that the students are for.", metavar="LANGUAGE")] = None,
    languages: Annotated[str | None, typer.Option(help="Languages, with commas (all).", metavar="en,sv,...")] = None,
    max_sentences: Annotated[int | None, typer.Option(help="At most so many, drawn (all).")] = None,
    prefix: Annotated[str, typer.Option(help='What the models want in front of a text, such as "query: ".')] = "",
    pooling: Annotated[str | None, typer.Option(help="mean or cls (mean).")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The column of the ids that translations share (id).")] = None,
    text_column: Annotated[str | None, typer.Option("--text", help="The column of the sentences (text).")] = None,
    language_column: Annotated[str | None, typer.Option("--language", help="The column of the languages (language).")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16 (auto).")] = None,
) -> None:
    """Show what each layer of any models knows of language and meaning, on sentences that are translations of each other."""
    from distill.inspect_command import inspect_to_folder, inspection_tables
    from distill.inspection.writing import PAGE

    result = inspect_to_folder(
        models,
        section={
            "sentences": sentences,
            "languages": None if languages is None else [code.strip() for code in languages.split(",") if code.strip()],
            "max_sentences": max_sentences,
            "id": id_column,
            "text": text_column,
            "language": language_column,
            "precision": precision,
        },
        pooling=pooling,
        prefix=prefix,
        kept=kept,
        output=output,
        progress=Progress(),
    )
    for table in inspection_tables(result):
        _out.print(table)
    _out.print(f"page: {output / PAGE}; figures and tables beside it", markup=False, soft_wrap=True)


@app.command()
def recipes() -> None:
    """List the recipes that can be run by name."""
    from distill.recipe_file import list_recipes, load_recipe

    for path in list_recipes():
        lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        first = next((line for line in lines if not line.startswith("# yaml-language-server:")), "")
        note = first.removeprefix("#").strip() if first.startswith("#") else ""
        try:
            load_recipe(str(path))
        except UserError as error:
            note = f"{note} Not ready: {str(error).splitlines()[-1].strip()}".strip()
        _out.print(f"[bold]{escape(path.stem):<20}[/bold] {escape(note)}", soft_wrap=True)


@app.command()
def new(
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="A code of ISO 639 (sv) or an English name (swedish).")],
    output: Annotated[Path | None, typer.Option(help="The file to write; LANGUAGE.yaml by default.")] = None,
) -> None:
    """Write a commented recipe for a language, to be read, changed and run."""
    from distill.new.command import write_recipe

    path = write_recipe(language, output)
    _out.print(f"recipe: {path}", markup=False, soft_wrap=True)
    _out.print(f"next: python -m distill recipe {path} --dry-run", markup=False, soft_wrap=True)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)] = 5000) -> None:
    """Open MLflow on the project's own runs."""
    from distill.tracking import experiment_views, find_store, serve, without_password

    uri, address = find_store(port), f"http://127.0.0.1:{port}"
    _out.print(f"MLflow on {without_password(uri)}: {address} (Ctrl-C stops it)", markup=False, soft_wrap=True)
    if uri.startswith("sqlite:///"):
        for name, view in experiment_views(uri, address).items():
            _out.print(f"  {name}, the best first: {view}", markup=False, soft_wrap=True)
    serve(uri, port)


def main() -> None:
    """Run the command line; every way out has its exit code, and a user's mistake one message without a traceback."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()  # exits by itself: 2 for a wrong option, 1 for Ctrl-C
    except UserError as error:
        _fail(str(error))
    except PermissionError as error:
        _fail(f"{error.filename}: {error.strerror}; name another folder, or mend its permissions.")
    except Exception as error:
        if is_disk_full(error):
            _fail("No space left on the device; what is done is kept. Free some and run the same command again.")
        raise


@contextmanager
def _goes_on(*, quiet: bool = False) -> Iterator[None]:
    """What a signal interrupts ends with code 1, and is told how it goes on."""
    try:
        yield
    except Interrupted:
        if not quiet:
            _err.print(f"Interrupted; what is done is kept. The same command goes on: {_same_command()}", soft_wrap=True)
        raise typer.Exit(1) from None


def _same_command() -> str:
    import shlex

    return escape("python -m distill " + shlex.join(sys.argv[1:]))


def _fail(message: str) -> None:
    """Print a user's mistake and leave with code 2; of the processes of a launch the first alone prints."""
    if os.environ.get("RANK", "0") == "0":
        _err.print(escape(message), style="red", soft_wrap=True)
    sys.exit(2)
