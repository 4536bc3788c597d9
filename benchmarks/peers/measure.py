"""What the adapters of `benchmarks/kge.py` share: their command line, the clock, the memory, the one line they print.

Runs under each peer's own Python, 3.9 and later; needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SCORERS = ["transe_l1", "transe_l2", "distmult", "rotate"]
LEAST_STEPS = 3  # of the warm-up and of the timed part


def read_options(doc: str) -> argparse.Namespace:
    """Read the command line that all adapters have in common."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that kge_workload.py has written")
    parser.add_argument("--scorer", choices=SCORERS, required=True)
    parser.add_argument("--dim", type=int, required=True, help="numbers an entity; complex numbers for rotate")
    parser.add_argument("--batch", type=int, required=True, help="positive triples a step")
    parser.add_argument("--negatives", type=int, required=True, help="negative triples a positive one")
    parser.add_argument("--seconds", type=float, default=20.0, help="timed seconds, after a warm-up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--source", type=Path, help="folder of the peer's source, where it is not installed")
    return parser.parse_args()


class Clock:
    """Counts and times steps: untimed ones for a fifth of ``seconds``, then timed ones for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.timing = False
        self.steps = 0
        self.passed = 0.0
        self.start = time.perf_counter()

    def tick(self) -> bool:
        """Count the step that has just ended; return whether the time is up."""
        now = time.perf_counter()
        self.steps, self.passed = self.steps + 1, now - self.start
        if self.steps < LEAST_STEPS or self.passed < (self.seconds if self.timing else self.seconds / 5):
            return False
        if self.timing:
            return True
        self.timing, self.steps, self.start = True, 0, now
        return False

    def run(self, step: Callable[[], object]) -> None:
        """Call ``step`` until the time is up."""
        step()
        while not self.tick():
            step()


def descendants(process: str = "self") -> list[str]:
    """Return the process numbers of the live children, theirs too."""
    listed = " ".join(path.read_text() for path in Path("/proc", process, "task").glob("*/children"))
    return [each for child in listed.split() for each in (child, *descendants(child))]


def peak_memory() -> int:
    """Return bytes: this process's peak, and what its live children hold that they do not share with it.

    Not getrusage: its peak is inherited from the process that started this one, and a forked worker's counts all that
    it shares with its parent.
    """
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    for child in descendants():
        rollup = Path("/proc", child, "smaps_rollup").read_text()
        peak += sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+)", rollup))
    return peak * 1024


def report(peer: str, **found: object) -> None:
    """Print the adapter's one line."""
    print(json.dumps({"peer": peer, **found}), flush=True)


def unsupported(peer: str, why: str) -> None:
    """Say that the peer has no such setting, and end."""
    report(peer, unsupported=why)
    sys.exit(0)


def measure(peer: str, options: argparse.Namespace, step: Callable[[], object], settings: str) -> None:
    """Time ``step``, one optimizer step on ``options.batch`` triples, and print the line."""
    clock = Clock(options.seconds)
    clock.run(step)
    report_clock(peer, options, clock, settings)


def report_clock(peer: str, options: argparse.Namespace, clock: Clock, settings: str, **more: object) -> None:
    """Print the line of a clock whose time is up."""
    speed = clock.steps * options.batch / clock.passed
    found = {"triples_per_second": speed, "steps": clock.steps, "peak_memory_bytes": peak_memory()}
    report(peer, **found, settings=settings, **more)
