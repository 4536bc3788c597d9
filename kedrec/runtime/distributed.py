"""Ranks of the processes of one run, and values gathered from all of them; in one process, the values themselves."""

import os
from typing import TypeVar

Row = TypeVar("Row")

# Set by torchrun, by Lightning's launcher, also within a step of Slurm, and by srun, before any process group exists.
_NUMBERS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
_COUNTS = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_LOCAL_NUMBERS = ("LOCAL_RANK", "SLURM_LOCALID")


def process_number() -> int:
    """Return the rank of this process in the run, from 0, as its launcher sets it."""
    return next((int(os.environ[name]) for name in _NUMBERS if name in os.environ), 0)


def process_count() -> int:
    """Return the world size that the launcher sets; 1 without a launcher."""
    return next((int(os.environ[name]) for name in _COUNTS if name in os.environ), 1)


def local_number() -> int:
    """Return the rank of this process on its node, which selects its GPU."""
    return next((int(os.environ[name]) for name in _LOCAL_NUMBERS if name in os.environ), 0)


def is_first() -> bool:
    """Whether this is the process that prints and writes the run folder."""
    # A run started by hand on each of several nodes, for Lightning's own launcher, has no rank but that of the node.
    return process_number() == 0 and os.environ.get("NODE_RANK", "0") == "0"


def gathered(rows: list[Row]) -> list[Row]:
    """Return the rows of all processes, in the order of their ranks; each process must call it."""
    if not _together():
        return rows
    import torch.distributed as processes

    parts: list[list[Row]] = [[] for _ in range(processes.get_world_size())]
    processes.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process; each process must call it."""
    return any(gathered([flag]))


def _together() -> bool:
    import torch.distributed as processes

    return processes.is_available() and processes.is_initialized() and processes.get_world_size() > 1
