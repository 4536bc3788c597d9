"""Running several trials at a time, each in a process that ends with this one."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from kedrec.commands.sweep.sweep_trials import Trial, Trials
from kedrec.runtime.signals import HEARD

_LOG = "output.log"  # in the run folder: output of the trial, all attempts
_POLL = 0.1  # seconds
_GRACE = 30.0  # seconds for a trial to stop before it is killed
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


@dataclass
class _Process:
    """A running trial.

    Attributes:
        trial: the trial.
        process: leader of the process group of all processes that it starts.
        begun: offset in the log where the output of this attempt starts, bytes.
        since: start, seconds of the monotonic clock.
    """

    trial: Trial
    process: subprocess.Popen[bytes]
    begun: int
    since: float


def run_trials(trials: Trials, workers: int, ended: Callable[[Trial], None]) -> None:
    """Run the unfinished trials of a sweep.

    A signal to stop is passed on to the trials. They get some seconds to stop, and are then killed. If this process is
    killed itself, Linux kills the trials.

    Args:
        trials: of the sweep.
        workers: trials at a time.
        ended: called when a trial has finished or failed.

    Raises:
        KeyboardInterrupt: a signal stops the sweep.
    """
    at_work: dict[int, _Process] = {}
    with _stoppable():
        try:
            while True:
                for worker in range(workers):
                    if worker not in at_work and (trial := trials.next()) is not None:
                        at_work[worker] = _start(trials, trial, worker, workers)
                if not at_work:
                    return
                time.sleep(_POLL)
                for worker, one in list(at_work.items()):
                    if one.process.poll() is not None:
                        del at_work[worker]
                        _conclude(trials, one)
                        ended(one.trial)
        except KeyboardInterrupt as stop:
            _stop([one.process for one in at_work.values()], stop.args[0])
            raise
        finally:
            for one in at_work.values():
                _kill(one.process)
                one.trial.seconds += time.monotonic() - one.since
                trials.record(one.trial)


def run_preparation(experiments: Sequence[Sequence[str]]) -> bool:
    """Prepare the data of each experiment, given as its file and overrides, in one process; return whether all succeed.

    Errors are printed on stderr; the trials that need such data will fail.

    Raises:
        KeyboardInterrupt: a signal stops the sweep.
    """
    with _stoppable():
        process = _python(["-m", "kedrec.commands.sweep.sweep_preparation", *map(json.dumps, experiments)], {}, None)
        try:
            return process.wait() == 0
        except KeyboardInterrupt as stop:
            _stop([process], stop.args[0])
            raise
        finally:
            _kill(process)


def _python(arguments: list[str], environment: dict[str, str], output: BinaryIO | None) -> "subprocess.Popen[bytes]":
    """Start the interpreter in a new process group, which is killed when this process is.

    Args:
        arguments: of the interpreter.
        environment: added to that of this process.
        output: file of both streams; ``None`` for the streams of this process.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def in_the_child() -> None:
        if libc is not None:
            libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)

    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **environment},
        process_group=0,
        preexec_fn=in_the_child,  # noqa: PLW1509  (this process has one thread)
    )


def _start(trials: Trials, trial: Trial, worker: int, workers: int) -> _Process:
    trial.status, trial.error = "begun", ""
    trials.record(trial)
    with (trials.place(trial) / _LOG).open("ab") as log:
        process = _python(["-m", "kedrec.fit", *trials.command(trial)], _share(worker, workers), log)
        return _Process(trial, process, log.tell(), time.monotonic())


def _conclude(trials: Trials, one: _Process) -> None:
    one.trial.seconds += time.monotonic() - one.since
    trial, status = one.trial, one.process.returncode
    if status == 0 and trials.metrics(trial) is not None:
        trial.status = "finished"
    else:
        trial.status = "failed"
        killed = f"killed by {signal.Signals(-status).name}; " if status < 0 else ""
        with (trials.place(trial) / _LOG).open("rb") as log:
            log.seek(one.begun)
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("kedrec: ")] or lines or [f"status {status}, no output"]
        trial.error = killed + reasons[-1]
    trials.record(trial)


def _stop(processes: "list[subprocess.Popen[bytes]]", number: int) -> None:
    """Send a signal to process groups, and wait until they end, or for some seconds."""
    print("\nstopping", file=sys.stderr, flush=True)
    for process in processes:
        _signal(process, number)
    patience = time.monotonic() + _GRACE
    while any(process.poll() is None for process in processes) and time.monotonic() < patience:
        time.sleep(_POLL)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within the block Ctrl-C, SIGTERM and Slurm's warning raise ``KeyboardInterrupt`` with the signal's number."""

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    signals = (signal.SIGINT, *HEARD)
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _share(worker: int, workers: int) -> dict[str, str]:
    """Return the environment that limits a worker to its share of cores and GPUs; a single worker has all."""
    if workers == 1:
        return {}
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // workers))}
    gpus = _gpus()
    if gpus:
        share["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[worker % len(gpus) :: workers])
    return share


def _gpus() -> list[str]:
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in named.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
