"""How an evaluation is shared out over more devices than are at hand: the measured fine-tunes of a
finished run, replayed in the order in which every process of a launch takes them.

    python -m benchmarks.devices runs/swedish-small --output FILE
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.provenance import provenance
from distill.evaluation.finished import MEASURED, Entry, read_entries

DEVICES = (1, 2, 4, 8, 16, 64)
CHOOSING_SEEDS = 2
"""Seeds that choose the learning rate (distill/evaluation/protocol)."""
LOOK = 0.2
"""Seconds between two looks at what the others have measured (distill/evaluation/finished)."""

Work = tuple[str, str]
"""A model on a task."""


@dataclass(frozen=True, slots=True)
class FineTune:
    """One that was measured; two are never equal."""

    number: int
    seconds: float


@dataclass(slots=True)
class Queue:
    """What is to be measured, what is under way and what is done."""

    work: dict[Work, list[list[FineTune]]]
    """Of each model on each task the fine-tunes, in steps that need the one before."""
    claimed: set[FineTune] = field(default_factory=set)
    done: set[FineTune] = field(default_factory=set)

    def process(self) -> Iterator[float]:
        """Seconds after which a process looks again, as distill/evaluation/measuring goes on."""
        left = [*self.work]
        while left:
            waited = left
            for work in left:
                for step in self.work[work]:
                    for fine_tune in step:
                        if fine_tune not in self.claimed:
                            self.claimed.add(fine_tune)
                            yield fine_tune.seconds
                            self.done.add(fine_tune)
                    if not self.done.issuperset(step):
                        break  # another process is at some of it
            left = [work for work in left if not self._is_done(work)]
            if left == waited:
                yield LOOK

    def _is_done(self, work: Work) -> bool:
        return all(self.done.issuperset(step) for step in self.work[work])


def read_work(run: Path) -> dict[Work, list[list[FineTune]]]:
    """The fine-tunes of a finished run: the grid, rates beyond it one by one, the other seeds."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    grid = [float(rate) for rate in recipe["evaluation"]["learning_rates"]]
    steps: dict[Work, dict[tuple[int, float], list[FineTune]]] = defaultdict(dict)
    for number, entry in enumerate(read_entries(run / "evaluation" / MEASURED)):
        if "seconds" in entry:
            step = steps[entry["model"], entry["task"]].setdefault(_step_of(entry, grid), [])
            step.append(FineTune(number, entry["seconds"]))
    return {work: [of for _, of in sorted(steps[work].items())] for work in steps}


def _step_of(entry: Entry, grid: Sequence[float]) -> tuple[int, float]:
    """In which step a fine-tune can be made."""
    if entry.get("seed", 0) >= CHOOSING_SEEDS:
        return 2, 0.0
    rate = entry.get("learning_rate") or grid[0]
    return (0, 0.0) if rate in grid else (1, abs(rate - grid[0]))


def replay(work: dict[Work, list[list[FineTune]]], devices: int) -> float:
    """Seconds until all processes have what all have measured."""
    queue = Queue(work)
    processes = [queue.process() for _ in range(devices)]
    events = [(0.0, number) for number in range(devices)]
    now = 0.0
    while events:
        now, number = heapq.heappop(events)
        seconds = next(processes[number], None)
        if seconds is not None:
            heapq.heappush(events, (now + seconds, number))
    return now


def main() -> None:
    """The table, and the file that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    work = read_work(arguments.run)
    fine_tunes = [of for steps in work.values() for step in steps for of in step]
    total = sum(of.seconds for of in fine_tunes)
    longest = max(sum(max(of.seconds for of in step) for step in steps) for steps in work.values())
    results = []
    for devices in DEVICES:
        seconds, ideal = replay(work, devices), max(total / devices, longest)
        print(
            f"{devices:3} devices: {seconds:8.1f} s, {total / devices / seconds:6.1%} of an even "
            f"share, {ideal / seconds:6.1%} of what the longest model on a task allows"
        )
        results.append({"devices": devices, "seconds": seconds, "ideal": ideal})
    if arguments.output:
        content = {
            **provenance({"run": arguments.run.name, "fine_tunes": len(fine_tunes)}),
            "seconds_on_one": total,
            "longest": longest,
            "results": results,
        }
        arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
