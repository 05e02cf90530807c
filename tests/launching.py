"""Commands on several processes, as `torchrun` starts them."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT, distill_environment


def launcher(processes: int) -> list[str]:
    """The beginning of a command that starts so many processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*start, "--nproc_per_node", str(processes)]


def run_together(processes: int, module: str, *arguments: object) -> None:
    """Run a module of the tests on so many processes, until all have ended well."""
    done = subprocess.run(
        [*launcher(processes), "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=distill_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
