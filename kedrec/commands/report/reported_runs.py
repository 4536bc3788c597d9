"""Finds and reads the finished runs of a report."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.evaluation.renamed_results import renamed_rows
from kedrec.storage.jsonl import read_jsonl
from kedrec.training.loaded_run import FinishedRun, open_run
from kedrec.training.saved_results import read_metrics

_STUDENT = ("pair", "disease", "drugs", "correct", "swapped", "passages", "scores", "choice")
_TEST_AGAIN = "test the run again with kedrec.evaluate"
_RANK = ("set", "head", "relation", "tail", "missing", "disease", "typed")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, with the numbers and files of its newest evaluation without overrides, if there is one.

    Attributes:
        finished: the loaded run.
        test_folder: folder with the test's files: ``evaluations/ID`` of such an evaluation, else the run folder.
        metrics: flat, name -> number.
        record: provenance of the numbers: commit, hardware, seconds, data.
    """

    finished: FinishedRun
    test_folder: Path
    metrics: dict[str, float]
    record: dict[str, Any]

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.finished.path

    @property
    def tree(self) -> dict[str, Any]:
        """The settings of the experiment."""
        return self.finished.original.tree

    @property
    def seed(self) -> int:
        """The experiment's seed."""
        return int(self.tree.get("seed", 0))

    @property
    def experiment(self) -> str:
        """The experiment's file if the run records it, else the name of the run folder or of the one above it."""
        recorded = self.record.get("experiment")
        return str(recorded) if recorded else self.finished.original.name

    @property
    def commit(self) -> str:
        """Commit of the code that computed the numbers."""
        return str(self.record.get("commit") or "unknown")

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> its duration, seconds."""
        recorded = self.record.get("seconds")
        return dict(recorded) if isinstance(recorded, dict) else {}

    @property
    def overrides(self) -> list[str] | None:
        """The overrides of the command line, ``key=value``; ``None`` if the run does not record them."""
        recorded = self.record.get("overrides")
        return [str(one) for one in recorded] if isinstance(recorded, list) else None

    def settings(self, group: str) -> dict[str, Any]:
        """Return the constructor's arguments of a group: ``model`` or ``data``."""
        arguments = self.tree.get(group, {}).get("init_args")
        return dict(arguments) if arguments else {}

    def class_name(self, group: str) -> str:
        """Return the class path of a group: ``model`` or ``data``."""
        return str(self.tree.get(group, {}).get("class_path", ""))

    @property
    def private(self) -> bool:
        """Whether its rows must not be shown: patient data, and data classes of other packages."""
        return self.finished.private

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a JSONL file of the test; ``*_base.jsonl`` is the run's; no rows if the file is absent.

        Raises:
            KedrecError: the file is damaged.
        """
        path = self.test_folder / name
        path = path if path.is_file() else self.path / name
        if not path.is_file():
            return []
        try:
            rows = read_jsonl(path)
        except (json.JSONDecodeError, UnicodeDecodeError) as fault:
            raise KedrecError(f"{path}: damaged ({fault}); {_TEST_AGAIN}") from fault
        asks = name.startswith("predictions") and self.finished.task == "choice"
        required = _STUDENT if asks else _RANK if name == "ranks.jsonl" else ()
        for number, row in enumerate(rows, start=1):
            missing = next((key for key in required if not isinstance(row, dict) or key not in row), None)
            if missing:
                raise KedrecError(f"{path}, row {number}: the field {missing!r} is missing; {_TEST_AGAIN}")
        return renamed_rows(rows)


def find_runs(folders: Sequence[Path]) -> tuple[list[Run], list[tuple[Path, str]]]:
    """Return the finished runs in folders, and the folders left out with the reason.

    Args:
        folders: run folders; folders that hold runs, at any depth; sweeps' folders with their ``results.csv``.

    Raises:
        KedrecError: a folder does not exist, is that of an unfinished run, or holds no finished run.
    """
    runs: dict[Path, Run] = {}
    left_out: list[tuple[Path, str]] = []
    for folder in folders:
        if not folder.is_dir():
            raise KedrecError(f"{folder}: no such folder; expected a run of kedrec.fit, or a folder that holds runs")
        if (folder / "config.yaml").is_file():
            runs[folder.resolve()] = _read(folder)
            continue
        before = len(runs), len(left_out)
        for path, fault in _inside(folder):
            run, why = (None, fault) if fault else _tried(path)
            if run is None:
                left_out.append((path, why))
            else:
                runs[path.resolve()] = run
        if len(runs) == before[0]:
            why = "".join(f"; left out: {path.name}: {reason}" for path, reason in left_out[before[1] :][:1])
            raise KedrecError(f"{folder}: it holds no finished run of kedrec.fit{why}")
    return list(runs.values()), left_out


def _inside(folder: Path) -> list[tuple[Path, str]]:
    """Return the run folders in a folder, each with the reason why it cannot be reported, or an empty string."""
    table = folder / "results.csv"
    if table.is_file():
        return _of_sweep(folder, table)
    found: list[tuple[Path, str]] = []
    for inner in sorted(folder.iterdir()):
        if not inner.is_dir() or inner.name.startswith("."):
            continue
        found += [(inner, "")] if (inner / "config.yaml").is_file() else _inside(inner)
    return found


def _of_sweep(folder: Path, table: Path) -> list[tuple[Path, str]]:
    columns = {"trial", "status", "run"}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as fault:
        raise KedrecError(f"{table}: not the results of kedrec.sweep ({fault})") from fault
    if any(None in (row.get(name) for name in columns) for row in rows):
        raise KedrecError(f"{table}: not the results of kedrec.sweep; expected columns trial, status, run in each row")
    found = []
    for row in rows:
        inside = folder / row["trial"]
        path = inside if inside.is_dir() else Path(row["run"])
        finished = row["status"] == "finished"
        found.append((path, "" if finished else f"{row['status']}: {row.get('error') or 'no reason recorded'}"))
    return found


def _tried(folder: Path) -> tuple[Run | None, str]:
    """Return a finished run, or the reason why there is none."""
    try:
        return _read(folder), ""
    except KedrecError as fault:
        return None, str(fault).removeprefix(f"{folder}/")


def _read(folder: Path) -> Run:
    try:
        finished = open_run(folder)
        whole = FinishedRun(folder, finished.metrics, finished.original, {}, finished.original)
        test_folder, metrics, record = folder, dict(finished.metrics), finished.provenance()
        newer = folder / "evaluations" / whole.id
        # An evaluation's folder appears complete; without provenance.json it is a partial copy.
        if (newer / "metrics.json").is_file() and (newer / "provenance.json").is_file():
            tested = read_metrics(newer / "metrics.json", _TEST_AGAIN)
            metrics = {name: value for name, value in metrics.items() if name not in tested} | tested
            test_folder = newer
            again = json.loads((newer / "provenance.json").read_text(encoding="utf-8"))
            record = {**record, **{name: again[name] for name in ("commit", "data") if name in again}}
    except (ValueError, TypeError) as fault:  # not JSON, or not an object
        raise KedrecError(f"{folder}/provenance.json: damaged ({fault}); test the run again") from fault
    if not all(isinstance(record.get(name, {}), dict) for name in ("data", "seconds")):
        raise KedrecError(
            f"{folder}/provenance.json: damaged: expected objects under data and seconds; test the run again"
        )
    return Run(finished, test_folder, metrics, record)
