"""What a command does when it is told to stop: SIGTERM, or SIGUSR1, by which Slurm warns of the time limit.

Outside of training and testing it stops at once, as on Ctrl-C. Within, `kedrec.training.preemption.StopAtSignal`
stops it at the end of a batch, in all processes. Under Slurm the job is then put back into the queue.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from kedrec.runtime.distributed import is_first
from kedrec.runtime.resumption import resumption

HEARD = (signal.SIGUSR1, signal.SIGTERM)
_PATIENCE = 60  # seconds that Slurm's controller is given to answer


class Preempted(BaseException):
    """The run was told to stop; no ``except Exception`` takes it for a fault.

    Args:
        told: the signal that told it.
    """

    def __init__(self, told: signal.Signals) -> None:
        super().__init__(told.name)
        self.signal = told

    @property
    def job(self) -> str | None:
        """The Slurm job to be put back into the queue, of an array the task alone; ``None`` outside of Slurm."""
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
        return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


@dataclass
class _State:
    first: signal.Signals | None = None
    at: float = 0.0
    deferred: bool = False
    process: int = 0


_state = _State()


@contextmanager
def preemptible() -> Iterator[None]:
    """Within the block SIGUSR1 and SIGTERM raise `Preempted`, or are noted while they are `deferred`.

    The old handlers return at the end, unless the block was left by `Preempted`: then further signals do nothing, so
    that what is left to do is done. Off the main thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state  # noqa: PLW0603
    _state = _State(process=os.getpid())
    before = {one: signal.signal(one, _hear) for one in HEARD}
    stopped = False
    try:
        yield
    except Preempted:
        stopped = True
        raise
    finally:
        if not stopped:
            for one, handler in before.items():
                signal.signal(one, handler or signal.SIG_DFL)


def heard() -> signal.Signals | None:
    """Return the first signal that came, if one did."""
    return _state.first


def waited() -> float:
    """Return the seconds since that signal came; 0 if none did."""
    return time.monotonic() - _state.at if _state.first is not None else 0.0


def defer() -> None:
    """From now on a signal is only noted; whoever calls this looks at `heard`."""
    _state.deferred = True


def defer_no_longer() -> None:
    """From now on a signal raises again."""
    _state.deferred = False


def _hear(number: int, frame: FrameType | None) -> None:
    told = signal.Signals(number)
    if os.getpid() != _state.process:  # forked from the process that is meant, as loaders' workers are
        signal.signal(told, signal.SIG_IGN if told == signal.SIGUSR1 else signal.SIG_DFL)
        if told == signal.SIGTERM:
            os.kill(os.getpid(), told)
    elif _state.first is None:
        _state.first, _state.at = told, time.monotonic()
        # Of several processes the others go on and wait for the first: it speaks with Slurm, which then ends them all.
        if not _state.deferred and is_first():
            raise Preempted(told)


def stopped(stop: Preempted) -> int:
    """Put the job back into Slurm's queue, say in one line what happened, and return the exit status.

    The first process does; the others leave with 0, for `srun` would end the first by the fault of another.

    Args:
        stop: what was raised.
    """
    if not is_first():
        return 0
    for one in HEARD:  # and so does scontrol, which inherits it: Slurm signals every process of a job
        signal.signal(one, signal.SIG_IGN)
    print(f"kedrec: stopped by {stop.signal.name}; {_requeued(stop)}", file=sys.stderr, flush=True)
    return 128 + stop.signal


def _requeued(stop: Preempted) -> str:
    if stop.job is None:
        return f"the same command {resumption()}"
    queued = f"job {stop.job} is back in Slurm's queue and {resumption()}"
    again = f"submitted again, it {resumption()}"
    try:
        if stop.signal == signal.SIGTERM:
            # It also comes where a job is cancelled, which `scontrol requeue` would undo, and where Slurm requeues it.
            job = _scontrol("--oneliner", "show", "job", stop.job)
            if _field(job, "Restarts") not in ("", os.environ.get("SLURM_RESTART_COUNT", "0")):
                return queued
            if (state := _field(job, "JobState")) != "RUNNING":
                return f"Slurm ends job {stop.job} itself ({state}); {again}"
        _scontrol("requeue", stop.job)
    except subprocess.CalledProcessError as fault:
        reason = (fault.stderr or fault.stdout or f"status {fault.returncode}").strip().splitlines()[0]
    except subprocess.TimeoutExpired:
        reason = f"no answer in {_PATIENCE} s"
    except OSError as fault:
        reason = str(fault)
    else:
        return queued
    return f"job {stop.job} could not be put back into Slurm's queue ({reason}); {again}"


def _field(job: str, name: str) -> str:
    found = re.search(rf"\b{name}=(\w+)", job)
    return found.group(1) if found else ""


def _scontrol(*arguments: str) -> str:
    command = ["scontrol", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout
