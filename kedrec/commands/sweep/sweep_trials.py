"""The trials of a sweep: their settings, their status, and which comes next.

A trial is a run folder in the folder of the sweep, named by the hash of its command line; its ``trial.json`` holds the
state of the search. A trial is finished if it has a ``metrics.json``, from a job array or from this machine.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from kedrec.commands.sweep.sweep_file import SweepFile
from kedrec.commands.sweep.trial_proposals import (
    Known,
    Point,
    Values,
    check_suggestions,
    drawn,
    finite,
    grid,
    suggested,
)
from kedrec.errors import KedrecError, nearest
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.hashing import key_hash
from kedrec.training.saved_results import read_metrics

_ATTEMPTS = 100  # repeated suggestions after which a search ends


@dataclass
class Trial:
    """One trial.

    Attributes:
        number: from 0, in the order of the proposals.
        values: of the searched parameters.
        point: their coordinates in a Bayesian search.
        arguments: of ``kedrec.fit``, without ``out``.
        status: of the last attempt; ``begun`` until it ends.
        seconds: of all attempts, without one that was killed together with the sweep.
        error: the last line of a failed attempt.
    """

    number: int
    values: Values
    point: Point
    arguments: list[str]
    status: Literal["waiting", "begun", "finished", "failed"] = "waiting"
    seconds: float = 0.0
    error: str = ""

    @property
    def id(self) -> str:
        """Ten hex digits that name the command line."""
        return key_hash({"arguments": self.arguments})[:10]

    @property
    def told(self) -> str:
        """The searched values in one line."""
        return " ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in self.values.items()) or "one run"


@dataclass
class Trials:
    """All trials of a sweep in a folder.

    Args:
        sweep: the file.
        overrides: of the command line, for each trial.
        folder: of the run folders.
        limit: largest number of trials; ``None`` for all of a grid.

    Attributes:
        listed: all trials of a grid or a random search, or those that a Bayesian search has proposed so far.
    """

    sweep: SweepFile
    overrides: Sequence[str]
    folder: Path
    limit: int | None
    listed: list[Trial] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _begun: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.sweep.method == "bayes":
            check_suggestions()
            self._claim()
            recorded = [json.loads(path.read_text(encoding="utf-8")) for path in self.folder.glob("*/trial.json")]
            self.listed = sorted((Trial(**record) for record in recorded), key=lambda trial: trial.number)
            self._ids = {trial.id for trial in self.listed}
        elif self.sweep.method == "random":
            for number in range(self.limit or 0):
                any(self._add(drawn(self.sweep.parameters, number, attempt), {}) for attempt in range(_ATTEMPTS))
        else:
            for values in islice(grid(self.sweep.parameters), self.limit):
                self._add(values, {})
        for trial in self.listed:
            self._recall(trial)

    @property
    def total(self) -> int:
        """The number of trials; a search that finds nothing new ends earlier."""
        return self.limit or 0 if self.sweep.method == "bayes" else len(self.listed)

    def next(self) -> Trial | None:
        """Return the trial to run next, or ``None``; a failed trial is repeated once."""
        for trial in self.listed:
            if trial.status != "finished" and trial.id not in self._begun:
                self._begun.add(trial.id)
                return trial
        if self.sweep.method != "bayes" or len(self.listed) >= (self.limit or 0):
            return None
        known = list(self._known())
        for attempt in range(_ATTEMPTS):
            number = len(self.listed)
            values, point = suggested(self.sweep.parameters, self.sweep.goal, known, number, attempt)
            if self._add(values, point):
                self._begun.add(self.listed[-1].id)
                return self.listed[-1]
        return None

    def settings(self) -> list[list[str]]:
        """Return the arguments of the unfinished trials; of a Bayesian search, also of one random trial."""
        found = [trial.arguments for trial in self.listed if trial.status != "finished"]
        if self.sweep.method == "bayes":
            found.append(self._arguments(drawn(self.sweep.parameters, 0, 0)))
        return found

    def place(self, trial: Trial) -> Path:
        """Return the trial's run folder."""
        return self.folder / trial.id

    def command(self, trial: Trial) -> list[str]:
        """Return the arguments of ``kedrec.fit`` with the run folder."""
        return [*trial.arguments, f"out={self.place(trial)}"]

    def record(self, trial: Trial) -> None:
        """Write the state of a trial to its ``trial.json``."""
        place = self.place(trial)
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "trial.json", json.dumps(asdict(trial), indent=1, default=str) + "\n")

    def metrics(self, trial: Trial) -> dict[str, float] | None:
        """Return the metrics of a finished trial, with the sweep's metric if it is a validation metric."""
        path = self.place(trial) / "metrics.json"
        if not path.is_file():
            return None
        metrics = read_metrics(path, "remove the folder, and run the sweep again")
        name = self.sweep.metric
        if name is not None and name not in metrics:
            metrics[name] = self._best_logged(self.place(trial), name, metrics)
        return metrics

    def value(self, trial: Trial) -> float | None:
        """Return the sweep's metric of a trial, if the trial is finished and the value is finite."""
        found = (self.metrics(trial) or {}).get(self.sweep.metric or "")
        return found if finite(found) else None

    def _add(self, values: Values, point: Point) -> bool:
        """Add a trial, unless one with the same command line is listed already."""
        searched = {one.name: values[one.name] for one in self.sweep.searched}
        trial = Trial(len(self.listed), searched, point, self._arguments(values))
        if trial.id in self._ids:
            return False
        self.listed.append(trial)
        self._ids.add(trial.id)
        return True

    def _arguments(self, values: Values) -> list[str]:
        """Return the arguments of W&B's agent for ``kedrec.fit``, with the overrides and with csv as the logger."""
        words = self.sweep.fit_arguments(values)
        kept = [word for word in words if not word.removeprefix("--").startswith("use.logger=")]
        named = len(kept) < len(words) or "use.logger" in values
        mine = ["use.logger=csv"] if named and not any("use.logger=" in word for word in self.overrides) else []
        return [*kept, *mine, *self.overrides]

    def _recall(self, trial: Trial) -> None:
        place = self.place(trial)
        if (place / "trial.json").is_file():
            record = json.loads((place / "trial.json").read_text(encoding="utf-8"))
            trial.status, trial.seconds, trial.error = record["status"], record["seconds"], record["error"]
        if self.metrics(trial) is not None:
            trial.status, trial.error = "finished", ""
            if not trial.seconds:  # a job array ran it
                provenance = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
                trial.seconds = sum(provenance["seconds"].values())

    def _best_logged(self, place: Path, name: str, metrics: dict[str, float]) -> float:
        """Return the best value of a validation metric over all attempts, by which W&B compares runs."""
        logged: dict[str, list[float]] = {}
        for table in place.glob("log/*/metrics.csv"):
            with table.open(encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    for column, cell in row.items():
                        if cell:
                            logged.setdefault(column, []).append(float(cell))
        if name not in logged:
            known = sorted({*metrics, *logged} - {"epoch", "step"})
            raise KedrecError(
                f"{self.sweep.path}: metric.name: {name} is neither among the metrics of {place} nor in its csv log"
                f"{nearest(name, known)}; there are {', '.join(known)}"
            )
        return (max if self.sweep.goal == "maximize" else min)(logged[name])

    def _known(self) -> Iterator[Known]:
        for trial in self.listed:
            value = self.value(trial)
            if value is not None or trial.status in ("begun", "waiting"):
                yield Known(trial.point, value)

    def _claim(self) -> None:
        """Refuse a folder with the trials of another search."""
        path = self.folder / "search.json"
        mine = {"parameters": self.sweep.space, "command": [*self.sweep.command, *self.overrides]}
        text = json.dumps(mine, indent=1, default=str) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise KedrecError(
                f"{path}: this folder holds a search with other settings; choose another --out DIR, or remove it"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
