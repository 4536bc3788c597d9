"""The results of a sweep: ``results.csv`` with one row a trial, and tables, best first."""

import csv
import io
import math
import statistics
from collections.abc import Hashable, Sequence
from typing import TypeVar

from kedrec.commands.sweep.sweep_trials import Trial, Trials
from kedrec.commands.sweep.trial_proposals import finite
from kedrec.storage.atomic_files import write_atomic
from kedrec.training.run_card import Table

_Row = TypeVar("_Row", bound=Hashable)

_SEED = "seed"  # the parameter over which settings are averaged
_HEADS = ("test/", "base/")


def write_results(trials: Trials) -> None:
    """Write ``results.csv`` with the ended trials, in their order.

    Columns: ``trial``, the searched parameters by their dotted names, ``status`` (finished or failed), ``seconds``,
    ``run`` (the run folder), ``error``, the sweep's metric if it is a validation metric, and all test metrics.
    """
    ended = [trial for trial in trials.listed if trial.status in ("finished", "failed")]
    metrics = {trial.id: trials.metrics(trial) or {} for trial in ended}
    kept = (*_HEADS, trials.sweep.metric or _HEADS[0])
    names = sorted({name for found in metrics.values() for name in found if name.startswith(kept)})
    searched = [one.name for one in trials.sweep.searched]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *searched, "status", "seconds", "run", "error", *names])
    for trial in ended:
        values = [trial.values[name] for name in searched]
        about = [trial.status, round(trial.seconds, 1), trials.place(trial), trial.error]
        writer.writerow([trial.id, *values, *about, *(metrics[trial.id].get(name) for name in names)])
    trials.folder.mkdir(parents=True, exist_ok=True)
    write_atomic(trials.folder / "results.csv", text.getvalue())


def tables(trials: Trials) -> list[Table]:
    """Return the ended trials, best first, and means with standard deviations over seeds, if the sweep has seeds."""
    metric = trials.sweep.metric
    names = [] if metric is None else [metric]
    if metric is not None and metric.startswith("test/"):
        names.append(metric.replace("test/", "base/"))
    values = {trial.id: trials.value(trial) for trial in trials.listed if trial.status == "finished"}
    by_id = {trial.id: trial for trial in trials.listed}
    finished = [by_id[name] for name in _best_first(values, trials.sweep.goal)]
    failed = [trial for trial in trials.listed if trial.status == "failed"]
    found = {trial.id: trials.metrics(trial) or {} for trial in finished}
    names = [name for name in names if any(name in metrics for metrics in found.values())]
    searched = [one.name for one in trials.sweep.searched]
    rows = [
        [
            *(str(trial.values[name]) for name in searched),
            *(_number(found[trial.id].get(name)) for name in names),
            f"{trial.seconds:.0f}",
            trial.id,
        ]
        for trial in finished
    ]
    blank = [""] * max(0, len(names) - 1)
    for trial in failed:
        outcome = ["failed", *blank] if names else []
        rows.append([*(str(trial.values[name]) for name in searched), *outcome, f"{trial.seconds:.0f}", trial.id])
    shown: list[Table] = [([*map(_short, searched), *names, "seconds", "run"], rows)]
    if _SEED in searched and names:
        others = [name for name in searched if name != _SEED]
        shown.append(_over_seeds(finished, found, others, names, trials.sweep.goal))
    return shown


def _best_first(values: dict[_Row, float | None], goal: str) -> list[_Row]:
    """Sort rows by their values; rows without a number come last."""
    sign = -1 if goal == "maximize" else 1

    def place(row: _Row) -> tuple[bool, float]:
        value = values[row]
        return (False, sign * value) if value is not None else (True, 0.0)

    return sorted(values, key=place)


def _over_seeds(
    finished: Sequence[Trial], found: dict[str, dict[str, float]], searched: list[str], names: list[str], goal: str
) -> Table:
    """Return a row for each setting: mean and sample standard deviation of each metric over its seeds."""
    settings: dict[tuple[str, ...], list[Trial]] = {}
    for trial in finished:
        settings.setdefault(tuple(str(trial.values[name]) for name in searched), []).append(trial)

    def numbers(setting: tuple[str, ...], name: str) -> list[float]:
        return [value for trial in settings[setting] if finite(value := found[trial.id].get(name, math.nan))]

    means = {setting: statistics.mean(of) if (of := numbers(setting, names[0])) else None for setting in settings}
    rows = [
        [*setting, str(len(settings[setting])), *(_spread(numbers(setting, name)) for name in names)]
        for setting in _best_first(means, goal)
    ]
    return [*map(_short, searched), "seeds", *names], rows


def _spread(numbers: Sequence[float]) -> str:
    if len(numbers) < 2:
        return _number(numbers[0] if numbers else None)
    return f"{statistics.mean(numbers):.3f} ± {statistics.stdev(numbers):.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2e}"


def _short(name: str) -> str:
    return name.replace(".init_args", "")
