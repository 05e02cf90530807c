"""The tags that tell where a run came from: version, commit, device, and who ran which file."""

from __future__ import annotations

import getpass
import subprocess
from contextlib import suppress
from pathlib import Path

from distill.runtime.version import __version__


def describe_surroundings(recipe: Path) -> dict[str, str]:
    """Version, commit of the working folder if it has one, device, file and user; MLflow's own tags
    where it has one.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    tags = {
        "distill_version": __version__,
        "device": f"cuda ({torch.cuda.get_device_name()})" if has_gpu else "cpu",
        "mlflow.source.name": str(recipe),
        "mlflow.source.type": "LOCAL",
    }
    if commit := _git("rev-parse", "HEAD"):
        changed = "-dirty" if _git("status", "--porcelain", "--untracked-files=no") else ""
        tags |= {"mlflow.source.git.commit": commit, "git_commit": commit[:12] + changed}
    with suppress(OSError, KeyError, ImportError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _git(*arguments: str) -> str:
    """What git says of the working folder; nothing if it is no repository or there is no git."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
