"""Stopping by a signal: SIGTERM, or SIGUSR1, with which Slurm announces the time limit.

Outside of training and testing a command stops at once, as after Ctrl-C. In training and testing, `StopAtSignal` of
`kedrec.training.preemption` stops all processes at the end of a batch. Under Slurm the job is then put back into the
queue.
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
_PATIENCE = 60  # seconds to wait for an answer of Slurm's controller


class Preempted(BaseException):
    """The run was stopped by a signal; a ``BaseException``, so that no ``except Exception`` catches it.

    Args:
        received: the signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(received.name)
        self.signal = received

    @property
    def job(self) -> str | None:
        """The Slurm job to put back into the queue, of an array only the task; ``None`` outside of Slurm."""
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
    """Within the block SIGUSR1 and SIGTERM raise `Preempted`; after `defer` they are only recorded.

    At the end the old handlers return, unless `Preempted` was raised: then further signals are ignored, so that the
    command can still put the job into the queue. In another thread than the main one this does nothing.
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
    """Return the first signal that was received, or ``None``."""
    return _state.first


def waited() -> float:
    """Return the seconds since the first signal; 0 without one."""
    return time.monotonic() - _state.at if _state.first is not None else 0.0


def defer() -> None:
    """From now on only record signals; the caller looks at `heard`."""
    _state.deferred = True


def defer_no_longer() -> None:
    """From now on raise `Preempted` again at a signal."""
    _state.deferred = False


def _hear(number: int, frame: FrameType | None) -> None:
    received = signal.Signals(number)
    if os.getpid() != _state.process:  # a fork, such as a worker of a data loader
        signal.signal(received, signal.SIG_IGN if received == signal.SIGUSR1 else signal.SIG_DFL)
        if received == signal.SIGTERM:
            os.kill(os.getpid(), received)
    elif _state.first is None:
        _state.first, _state.at = received, time.monotonic()
        # The other processes of a run go on: the first one requeues the job, and Slurm then ends all of them.
        if not _state.deferred and is_first():
            raise Preempted(received)


def stopped(stop: Preempted) -> int:
    """Put the job back into Slurm's queue, print one line that says so, and return the exit status.

    Only the first process does this. The others return 0: at another status `srun` would kill the first one.

    Args:
        stop: the exception.
    """
    if not is_first():
        return 0
    for one in HEARD:  # Slurm signals every process of a job, also scontrol, which inherits that it ignores them
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
            # Slurm also sends it to a job that was cancelled, or that it requeues itself: neither is requeued here.
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
