"""`distill doctor`: what this machine has, and what of it is used."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from distill.cli.console import OUT

PACKAGES = ("torch", "transformers", "tokenizers", "onnxruntime", "mlflow", "datasets")
"""What figures depend on most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a run depends on."""

    what: str
    value: str
    used: str
    """What of it is used, and by what; or what would change that."""


def doctor() -> None:
    """Say what this machine has, and what of it is used: devices, precision, threads, disk, Hub,
    MLflow store, versions.
    """
    from rich.table import Table

    table = Table("", "here", "used", box=None, pad_edge=False)
    for finding in examine():
        table.add_row(escape(finding.what), escape(finding.value), escape(finding.used))
    OUT.print(table)


def examine() -> Iterator[Finding]:
    """Every finding, in about a second, and as long as the Hub takes to answer."""
    from distill.runtime.extras import EXTRAS, missing_modules
    from distill.runtime.version import __version__, commit

    origin = f"commit {commit()}" if commit() else "installed"
    yield Finding(
        what="distill",
        value=f"{__version__}, {origin}",
        used=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
    )
    yield from _devices()
    yield from _disk()
    yield from _hub()
    yield _store()
    yield Finding(what="versions", value=", ".join(map(_version, PACKAGES)), used="")
    for extra, modules in EXTRAS.items():
        there = not missing_modules(modules)
        remedy = "" if there else f"pip install 'distill[{extra}]'"
        yield Finding(what=f"extra {extra}", value="there" if there else "not there", used=remedy)


def _devices() -> Iterator[Finding]:
    import torch

    from distill.benchmark.machine import describe_machine
    from distill.report.formats import format_bytes
    from distill.runtime.precision import choose_precision
    from distill.runtime.processes import Processes

    machine, device = describe_machine(), Processes().device
    yield Finding(
        what="processor",
        value=f"{machine.processor}, {machine.cores} cores, {format_bytes(machine.memory_bytes)}",
        used=f"CPU threads: {torch.get_num_threads()}; OMP_NUM_THREADS changes that",
    )
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    several = "; all of them by accelerate launch" if len(names) > 1 else ""
    yield Finding(
        what="GPU", value=", ".join(names) or "none", used=f"computes on {device}{several}"
    )
    precision = choose_precision("auto", device)
    speed = "faster" if precision == "bfloat16" else "not faster"
    yield Finding(
        what="bfloat16",
        value=f"{speed} than float32 on {device.type}",
        used=f"precision: auto takes {precision}",
    )


def _disk() -> Iterator[Finding]:
    from huggingface_hub import constants

    from distill.report.formats import format_bytes

    for what, path, used in (
        ("disk, here", Path.cwd(), "runs/ and mlruns/"),
        (
            "disk, cache",
            Path(constants.HF_HUB_CACHE),
            f"{constants.HF_HUB_CACHE}; HF_HOME moves it",
        ),
    ):
        nearest = next(folder for folder in (path, *path.parents) if folder.exists())
        free = shutil.disk_usage(nearest).free
        yield Finding(what=what, value=f"{format_bytes(free)} free", used=used)


def _hub() -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    from distill.runtime.hub import hub_obstacle
    from distill.runtime.secrets import without_password

    if constants.HF_HUB_OFFLINE:
        reached = "not asked: HF_HUB_OFFLINE"
    elif hub_obstacle() is not None:
        reached = "not reached: models, text and tasks from folders and packages"
    else:
        reached = "reached"
    yield Finding(what="Hub", value=reached, used=without_password(constants.ENDPOINT))
    there = get_token() is not None
    yield Finding(
        what="Hub login",
        value="a token" if there else "none",
        used="pushes and gated repositories"
        if there
        else "hf auth login, to push or read gated ones",
    )


def _store() -> Finding:
    from distill.runtime.secrets import without_password
    from distill.tracking.address import (
        TRACKING_URI,
        is_server,
        is_writable,
        sqlite_file,
        tracking_uri,
    )

    uri = tracking_uri()
    file = sqlite_file(uri)
    state = "a server" if is_server(uri) else "a store"
    if file is not None:
        state = "there" if file.exists() else "made by the first run"
        state = state if is_writable(file) else "cannot be written"
    named = "from" if os.environ.get(TRACKING_URI) else "another by"
    return Finding(
        what="MLflow", value=state, used=f"{without_password(uri)}; {named} {TRACKING_URI}"
    )


def _installed(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _version(package: str) -> str:
    return f"{package} {_installed(package) or 'not there'}"
