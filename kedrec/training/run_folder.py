"""The run folder: settings, checkpoints, predictions, metrics, card and provenance of one run."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.config import Experiment
from kedrec.errors import KedrecError
from kedrec.runtime.distributed import is_first
from kedrec.runtime.progress import shown_as_bars
from kedrec.runtime.resumption import FROM_CHECKPOINT, set_resumption
from kedrec.storage.atomic_files import disk_faults_named, write_atomic
from kedrec.storage.atomic_folder import publish_folder
from kedrec.storage.jsonl import jsonl
from kedrec.training.provenance import provenance
from kedrec.training.run_card import card
from kedrec.training.saved_results import read_metrics

if TYPE_CHECKING:
    from kedrec.training.base_classes import ExperimentData, TrainableModule


class RunFolder:
    """The folder of one run, held by one process at a time; of a run in several processes the first one writes it.

    Args:
        experiment: names the folder, and is written there as ``config.yaml``.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.path = experiment.run_dir
        self.checkpoints = self.path / "checkpoints"
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
        with disk_faults_named(self.path, "free some space, or choose another folder with out=DIR"):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise KedrecError(f"{self.path}: another process is at work on this very run; wait for it") from None
            try:
                self._claim()
                if self.last_checkpoint:
                    set_resumption(FROM_CHECKPOINT)
                yield
            finally:
                lock.release()

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint, if there is one."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None

    def set_processes(self, number: int) -> None:
        """Record how many processes train the run.

        Raises:
            KedrecError: the run was begun by another number of processes, which share its checkpoint.
        """
        self.processes = number
        record = self.checkpoints / "processes"
        begun = int(record.read_text(encoding="utf-8")) if record.is_file() and self.last_checkpoint else number
        if begun != number:
            raise KedrecError(
                f"{self.last_checkpoint}: this run was begun by {begun} processes, and its checkpoint is shared out "
                f"among them; go on with as many ({number} now), or start anew with another out=DIR"
            )
        if is_first():
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_atomic(record, f"{number}\n")

    def load_best(self, model: "TrainableModule") -> None:
        """Give a model the weights of the best checkpoint; without one, where no validation was reached, leave it."""
        import torch

        from kedrec.training.sharded_weights import load_whole

        best = self.checkpoints / "best.ckpt"
        if best.is_file():
            load_whole(model, torch.load(best, map_location="cpu", weights_only=True)["state_dict"])

    def metrics(self) -> dict[str, float] | None:
        """Return the metrics of a finished run, else ``None``."""
        path = self.path / "metrics.json"
        return read_metrics(path, "delete it, and run the same command again") if path.is_file() else None

    def closing_metrics(self) -> list[str] | None:
        """Return the names of the metrics that close the run; ``None`` where a run does not record them: all."""
        path = self.path / "provenance.json"
        names: list[str] | None = None
        if path.is_file():
            names = json.loads(path.read_text(encoding="utf-8")).get("closing_metrics")
        return names

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block took to ``stage``."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - start, 2)

    def prepare(self, data: "ExperimentData") -> None:
        """Prepare data and set them up, progress shown, and write their split to ``split.tsv``."""
        with self.timed("prepare"), shown_as_bars():
            data.prepare_data()
            data.setup("fit")
        if data.manifest is not None and is_first():
            data.manifest.save(self.path / "split.tsv")

    def write_answers(self, answers: Mapping[str, Sequence[Mapping[str, Any]]], suffix: str = "") -> None:
        """Write the rows of a test, each list to ``NAME<suffix>.jsonl``."""
        if is_first():
            for name, rows in answers.items():
                write_atomic(self.path / f"{name}{suffix}.jsonl", jsonl(rows))

    def export(self, model: "TrainableModule") -> None:
        """Let a model write what others load, each folder complete or not at all."""
        if not is_first():
            model.join_export()
            return
        partial = self.path / ".export.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            model.export(partial)
            for exported in partial.iterdir():
                publish_folder(exported, self.path / exported.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def finish(self, metrics: Mapping[str, float], model: "TrainableModule", data: "ExperimentData") -> None:
        """Write provenance, card and, last, the metrics, whose presence means that the run is complete."""
        if not is_first():
            return
        record = {
            **provenance(),
            "experiment": f"{self.experiment.name}.yaml",
            "overrides": list(self.experiment.overrides),
            "processes": self.processes,
            "seconds": self.seconds,
            "seed": self.experiment.tree["seed"],
            "task": model.task,
            "title": model.title,
            "private": data.private,
            "collection": data.collection,
            "closing_metrics": list(model.closing_metrics(metrics)),
            "added_metrics": model.added_metrics,
            "data": data.facts,
        }
        write_atomic(self.path / "provenance.json", json.dumps(record, indent=1, default=str) + "\n")
        write_atomic(self.path / "README.md", card(self.experiment, metrics, record, model.reading))
        write_atomic(self.path / "metrics.json", json.dumps(dict(metrics), indent=1) + "\n")

    def _claim(self) -> None:
        path = self.path / "config.yaml"
        begun = self.last_checkpoint is not None or (self.path / "metrics.json").is_file()
        if begun and path.is_file() and path.read_text(encoding="utf-8") != self.experiment.yaml():
            raise KedrecError(
                f"{path}: this folder holds a run with other settings; choose another out=DIR, or remove the folder"
            )
        write_atomic(path, self.experiment.yaml())
