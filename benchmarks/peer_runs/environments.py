"""The environment of each peer: what is installed in it, or why it cannot be, in a sentence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch==2.13.0"
OLDER = ("transformers==4.46.3", "numpy==2.2.6")
"""Peers of 2023 take neither transformers 5 nor numpy before 2 on this Python."""


class CannotInstallError(Exception):
    """A sentence on why a peer cannot be installed here."""


@dataclass(frozen=True)
class Peer:
    """A tool that is measured beside distill."""

    name: str
    version: str
    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    """What is installed without the packages that it asks for."""
    least_python: tuple[int, int] = (3, 11)
    remark: str = ""
    """What a reader should know of how it was run."""


VOCABTRIMMER = Peer(
    name="vocabtrimmer",
    version="0.0.2",
    # It imports pandas and datasets without asking for them, and a class of huggingface_hub that
    # is gone in 1.0.
    requirements=(
        "vocabtrimmer==0.0.2",
        TORCH,
        *OLDER,
        "datasets==3.1.0",
        "huggingface_hub==0.26.5",
        "pandas==2.2.3",
        "pyarrow==18.1.0",
    ),
    remark="It takes models with a head alone: the teacher was called a masked language model.",
)
TEXTPRUNER = Peer(
    name="textpruner",
    version="1.1.post2",
    requirements=(TORCH, *OLDER, "sentencepiece==0.2.0", "protobuf==5.29.5", "tqdm==4.67.1"),
    # It asks for numpy below 1.22 where "3.11" sorts before "3.8", and that numpy has no build for
    # this Python; it runs with a later one.
    alone=("textpruner==1.1.post2",),
    remark=(
        "It was installed without what it asks for, numpy below 1.22, and given the teacher as an "
        "XLM-R with the slow tokenizer."
    ),
)
TRIMBED = Peer(
    name="trimbed",
    version="0.0.4",
    requirements=("trimbed[model]==0.0.4", TORCH),
    least_python=(3, 12),
)
SENTENCE_TRANSFORMERS = Peer(
    name="sentence-transformers",
    version="6.2.0",
    requirements=(
        "sentence-transformers==6.2.0",
        TORCH,
        "transformers==5.23.0",
        "datasets==5.2.0",
        "accelerate==1.15.0",
    ),
)
TRIMMERS = (VOCABTRIMMER, TEXTPRUNER, TRIMBED)


def make(peer: Peer, folder: Path, newer_python: str | None = None) -> Path:
    """The Python of the peer's environment below `folder`, made where it is missing.

    Raises CannotInstallError.
    """
    environment = folder / peer.name
    python, done = environment / "bin" / "python", environment / "installed.json"
    wanted = [*peer.requirements, *peer.alone]
    if done.is_file() and json.loads(done.read_text()) == wanted:
        return python
    shutil.rmtree(environment, ignore_errors=True)
    base = base_python(peer.least_python, newer_python)
    subprocess.run([base, "-m", "venv", str(environment)], check=True)
    for packages in (peer.requirements, ("--no-deps", *peer.alone) if peer.alone else ()):
        if not packages:
            continue
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode:
            raise CannotInstallError(reason(peer, version_of(base), installed.stderr))
    done.write_text(json.dumps(wanted))
    return python


def base_python(least: tuple[int, int], newer: str | None = None) -> str:
    """The running Python where it is new enough, else a newer one that can be started; the first
    where there is none, so that pip says what is wrong.
    """
    if sys.version_info[:2] >= least:
        return sys.executable
    for command in filter(None, (newer, "python3.12", "python3.13")):
        # A name may stand on the path and start nothing, as those of version managers do.
        if (path := shutil.which(command)) and (version_of(path) or (0, 0)) >= least:
            return path
    return sys.executable


def version_of(python: str) -> tuple[int, int] | None:
    """Major and minor version of a Python, or None if it does not start."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    major, minor = map(int, answer.stdout.split())
    return major, minor


def reason(peer: Peer, version: tuple[int, int] | None, errors: str) -> str:
    """What pip's errors say, as a sentence."""
    here = f"Python {version[0]}.{version[1]}" if version else "this Python"
    start = f"{peer.name} {peer.version} cannot be installed on {here}: "
    asked = re.search(rf"\b{re.escape(peer.version)} Requires-Python ([^;\n]+)", errors)
    if asked:
        return f"{start}it asks for Python {asked[1].strip()}."
    lines = [line.split("ERROR:", 1)[1].strip() for line in errors.splitlines() if "ERROR:" in line]
    return f"{start}{_last(lines) or _last(errors.splitlines()) or 'pip says nothing'}."


def _last(lines: Sequence[str]) -> str:
    told = [line.strip() for line in lines if line.strip()]
    return told[-1].rstrip(".") if told else ""
