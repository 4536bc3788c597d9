"""The finished runs that a report is of, found and read."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.storage.jsonl import read_jsonl
from kedrec.training.loaded_run import FinishedRun, open_run

_STUDENT = ("pair", "disease", "drugs", "correct", "swapped", "passages", "scores", "choice")
_RANK = ("set", "head", "relation", "tail", "missing", "disease", "typed")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, with the numbers and files of a newer test of the very same run where there is one.

    Attributes:
        finished: as `kedrec.training.loaded_run` reads it.
        place: where the test's files lie: ``evaluations/ID`` of a test without overrides, else the run folder.
        metrics: flat, name -> number.
        record: what made the numbers: commit, hardware, seconds, data.
    """

    finished: FinishedRun
    place: Path
    metrics: dict[str, float]
    record: dict[str, Any]

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.finished.path

    @property
    def tree(self) -> dict[str, Any]:
        """The settings."""
        return self.finished.original.tree

    @property
    def seed(self) -> int:
        """Of the experiment."""
        return int(self.tree.get("seed", 0))

    @property
    def experiment(self) -> str:
        """The experiment's file where the run tells it, else the name of the run folder or of the one above it."""
        told = self.record.get("experiment")
        return str(told) if told else self.finished.original.name

    @property
    def commit(self) -> str:
        """Of the code that made the numbers."""
        return str(self.record.get("commit") or "unknown")

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> seconds that it took."""
        told = self.record.get("seconds")
        return dict(told) if isinstance(told, dict) else {}

    @property
    def overrides(self) -> list[str] | None:
        """What the command line set beside the experiment's file, ``key=value``; ``None`` where it is not told."""
        told = self.record.get("overrides")
        return [str(one) for one in told] if isinstance(told, list) else None

    def settings(self, group: str) -> dict[str, Any]:
        """Return the arguments of a group's class: ``model`` or ``data``."""
        found = self.tree.get(group, {}).get("init_args")
        return dict(found) if found else {}

    def class_name(self, group: str) -> str:
        """Return the class of a group, dotted."""
        return str(self.tree.get(group, {}).get("class_path", ""))

    @property
    def private(self) -> bool:
        """Whether its rows stay in the run folder: those of patients, and of data that this package does not know."""
        return self.finished.private

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a JSONL file of the test; of ``*_base.jsonl`` those of the run; none where it is absent.

        Raises:
            KedrecError: the file is damaged.
        """
        path = self.place / name
        path = path if path.is_file() else self.path / name
        if not path.is_file():
            return []
        try:
            rows = read_jsonl(path)
        except (json.JSONDecodeError, UnicodeDecodeError) as fault:
            raise KedrecError(f"{path}: damaged ({fault}); test the run again with kedrec.evaluate") from fault
        asks = name.startswith("predictions") and self.finished.task == "choice"
        wanted = _STUDENT if asks else _RANK if name == "ranks.jsonl" else ()
        for number, row in enumerate(rows, start=1):
            lacking = next((key for key in wanted if not isinstance(row, dict) or key not in row), None)
            if lacking:
                raise KedrecError(f"{path}, row {number}: no {lacking!r}; test the run again with kedrec.evaluate")
        return rows


def find_runs(folders: Sequence[Path]) -> tuple[list[Run], list[tuple[Path, str]]]:
    """Return the finished runs in folders, and what was left out and why.

    Args:
        folders: run folders; folders that hold some, at any depth; sweeps' folders with their ``results.csv``.

    Raises:
        KedrecError: a folder is none, is that of an unfinished run, or holds no finished run at all.
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
        for place, fault in _inside(folder):
            run, why = (None, fault) if fault else _tried(place)
            if run is None:
                left_out.append((place, why))
            else:
                runs[place.resolve()] = run
        if len(runs) == before[0]:
            why = "".join(f"; left out: {place.name}: {reason}" for place, reason in left_out[before[1] :][:1])
            raise KedrecError(f"{folder}: holds no finished run of kedrec.fit{why}")
    return list(runs.values()), left_out


def _inside(folder: Path) -> list[tuple[Path, str]]:
    """Return the run folders within a folder, each with why it cannot be one, or an empty string."""
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
    wanted = {"trial", "status", "run"}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as fault:
        raise KedrecError(f"{table}: not the results of kedrec.sweep ({fault})") from fault
    if any(None in (row.get(name) for name in wanted) for row in rows):
        raise KedrecError(f"{table}: not the results of kedrec.sweep; expected columns trial, status, run in each row")
    found = []
    for row in rows:
        inside = folder / row["trial"]
        place = inside if inside.is_dir() else Path(row["run"])
        finished = row["status"] == "finished"
        found.append((place, "" if finished else f"{row['status']}: {row.get('error') or 'no reason told'}"))
    return found


def _tried(folder: Path) -> tuple[Run | None, str]:
    """Return a run, or why it is none that is finished."""
    try:
        return _read(folder), ""
    except KedrecError as fault:
        return None, str(fault).removeprefix(f"{folder}/")


def _read(folder: Path) -> Run:
    try:
        finished = open_run(folder)
        whole = FinishedRun(folder, finished.metrics, finished.original, {}, finished.original)
        place, metrics, record = folder, dict(finished.metrics), finished.provenance()
        newer = folder / "evaluations" / whole.id
        # A test appears whole; without the record it was copied in part.
        if (newer / "metrics.json").is_file() and (newer / "provenance.json").is_file():
            tested = json.loads((newer / "metrics.json").read_text(encoding="utf-8"))
            metrics = {name: value for name, value in metrics.items() if name not in tested} | tested
            place = newer
            again = json.loads((newer / "provenance.json").read_text(encoding="utf-8"))
            record = {**record, **{name: again[name] for name in ("commit", "data") if name in again}}
    except (ValueError, TypeError) as fault:  # no JSON, or not of pairs
        raise KedrecError(f"{folder}/metrics.json or provenance.json: damaged ({fault}); test it again") from fault
    if not all(isinstance(record.get(name, {}), dict) for name in ("data", "seconds")):
        raise KedrecError(f"{folder}/provenance.json: damaged: data or seconds are no pairs; test it again")
    return Run(finished, place, metrics, record)
