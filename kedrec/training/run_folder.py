"""The run folder: settings, checkpoints, predictions, metrics, card and provenance of one run."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from kedrec.config import Experiment
from kedrec.errors import KedrecError
from kedrec.runtime.distributed import is_first
from kedrec.storage.atomic_files import disk_faults_named, write_atomic
from kedrec.storage.jsonl import jsonl
from kedrec.training.run_card import card

if TYPE_CHECKING:
    from lightning import LightningModule

    from kedrec.splits.treatment_split import TreatmentSplit

PACKAGES = (
    "kedrec",
    "torch",
    "lightning",
    "transformers",
    "peft",
    "torchmetrics",
    "hnswlib",
    "omegaconf",
    "rouge-score",
)


@runtime_checkable
class Predicts(Protocol):
    """A model that keeps what it answered in the test, one row an example."""

    predictions: list[dict[str, Any]]


@runtime_checkable
class Records(Predicts, Protocol):
    """A model that keeps more than its predictions: rows, by the stem of the file that they are written to."""

    records: dict[str, list[dict[str, Any]]]


@runtime_checkable
class HasBaseline(Predicts, Protocol):
    """A model that can answer the test as it was before training; after training too if it keeps its base."""

    keeps_base: bool

    def untrained(self) -> Any:
        """Return a context in which the model answers untrained."""

    def untrained_key(self) -> dict[str, Any]:
        """Return what the untrained answers depend on, beside the questions."""


@runtime_checkable
class Monitored(Protocol):
    """A model that says by which metric of validation, and whether by its "min" or "max", a checkpoint is best."""

    monitor: tuple[str, Literal["min", "max"]]


@runtime_checkable
class HasFacts(Protocol):
    """Data that can say what it is."""

    facts: dict[str, Any]


@runtime_checkable
class Asks(HasFacts, Protocol):
    """Data whose test can be told from another."""

    def test_identity(self) -> str:
        """Return a hash of everything that the test asks."""


@runtime_checkable
class HoldsOut(Protocol):
    """Data that keep treatments from training, and can say which."""

    manifest: "TreatmentSplit | None"


@runtime_checkable
class Private(Protocol):
    """Data of patients: what is derived of them stays in the run folder."""

    private: bool


@runtime_checkable
class InManyProcesses(Protocol):
    """A model, or data, that many processes can share."""

    many_processes: bool


@runtime_checkable
class Exports(Protocol):
    """A model that writes what others load: an adapter, embeddings."""

    def export(self, folder: Path | None) -> None:
        """Write it into ``folder``; ``None`` in a process that only gives what it holds of a model in parts."""


class RunFolder:
    """One run's folder; a second process is kept out of it. Of a run in many processes the first writes it.

    Args:
        experiment: decides the folder and is written there as ``config.yaml``.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.path = experiment.run_dir
        self.checkpoints = self.path / "checkpoints"
        self.started = time.time()
        self.seconds: dict[str, float] = {}
        self.processes = 1

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            KedrecError: another process holds it, it belongs to another experiment, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        if not is_first():
            yield
            return
        with disk_faults_named(self.path, "free some space, or choose another place with out=DIR"):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise KedrecError(f"{self.path}: another process is at work on this very run; wait for it") from None
            try:
                self._claim()
                yield
            finally:
                lock.release()

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint, if there is one."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None

    def set_processes(self, number: int) -> None:
        """Say how many processes the run has.

        Raises:
            KedrecError: it was begun by another number, among which its checkpoint is shared out.
        """
        self.processes = number
        told = self.checkpoints / "processes"
        begun = int(told.read_text(encoding="utf-8")) if told.is_file() and self.last_checkpoint else number
        if begun != number:
            raise KedrecError(
                f"{self.last_checkpoint}: this run was begun by {begun} processes, and its checkpoint is shared out "
                f"among them; go on with as many ({number} now), or start anew with another out=DIR"
            )
        if is_first():
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_atomic(told, f"{number}\n")

    def load_best(self, model: "LightningModule") -> None:
        """Give a model the weights of the best checkpoint; as they are where training ended before a validation."""
        import torch

        from kedrec.training.sharded_weights import load_whole

        best = self.checkpoints / "best.ckpt"
        if best.is_file():
            load_whole(model, torch.load(best, map_location="cpu", weights_only=True)["state_dict"])

    def metrics(self) -> dict[str, float] | None:
        """Return the metrics of a run that was finished, else ``None``."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block took to ``stage``."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - start, 2)

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows as JSONL, one a line."""
        if not is_first():
            return
        write_atomic(self.path / name, jsonl(rows))

    def write_folder(self, name: str, fill: Callable[[Path | None], None]) -> None:
        """Let ``fill`` write a folder, and put it under its name when it is whole; ``None`` where it is not written."""
        if not is_first():
            fill(None)
            return
        partial = self.path / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            fill(partial)
            for made in partial.iterdir():
                shutil.rmtree(self.path / made.name, ignore_errors=True)
                made.rename(self.path / made.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def finish(self, metrics: Mapping[str, float], facts: Mapping[str, Any], model: object) -> None:
        """Write provenance, card and, last, the metrics, whose presence says that the run is whole."""
        if not is_first():
            return
        record = {
            **provenance(),
            "experiment": f"{self.experiment.name}.yaml",
            "overrides": list(self.experiment.overrides),
            "processes": self.processes,
            "seconds": self.seconds,
            "seed": self.experiment.tree["seed"],
            "data": dict(facts),
        }
        write_atomic(self.path / "provenance.json", json.dumps(record, indent=1, default=str) + "\n")
        write_atomic(self.path / "README.md", card(self.experiment, metrics, record, model))
        write_atomic(self.path / "metrics.json", json.dumps(dict(metrics), indent=1) + "\n")

    def _claim(self) -> None:
        path = self.path / "config.yaml"
        begun = self.last_checkpoint is not None or (self.path / "metrics.json").is_file()
        if begun and path.is_file() and path.read_text(encoding="utf-8") != self.experiment.yaml():
            raise KedrecError(
                f"{path}: this folder holds a run with other settings; choose another out=DIR, or remove the folder"
            )
        write_atomic(path, self.experiment.yaml())


def answers_of(model: object) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that a model keeps of its last test, by the stem of the file that they belong in."""
    found = {"predictions": model.predictions} if isinstance(model, Predicts) else {}
    return {**found, **model.records} if isinstance(model, Records) else found


def provenance() -> dict[str, Any]:
    """Return versions, commit and hardware of this process."""
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": _commit(),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": devices,
        },
        "peak_memory_bytes": _peak_memory(),
    }


def _commit() -> str | None:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # installed without git or outside a clone
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _peak_memory() -> int:
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
