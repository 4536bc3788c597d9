"""Reads and draws learning curves of runs, from the CSV files of the logger."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from kedrec.commands.report.plot_elements import Plot, Series, line_plot, names_of, parts
from kedrec.commands.report.report_tables import file_part
from kedrec.commands.report.run_groups import Group

Curve = dict[int, float]  # optimizer step -> value
_WATCHED = ("train/", "validation/")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|nan|-?inf")
_LEARNED = {
    "train/answer_loss": "training: loss of the answer, nats a token",
    "train/choice_loss": "training: loss of the choice, nats",
    "train/link_loss": "training: loss of the links",
    "train/anchor_loss": "training: distance to the anchors",
    "validation/loss": "validation: loss of the answer, nats a token",
    "validation/choice_loss": "validation: loss of the choice, nats",
    "validation/mrr": "validation: MRR",
    "validation/hits@10": "validation: Hits@10",
}


def learning_curves(folder: Path) -> dict[str, Curve]:
    """Return the logged metrics of a run, metric -> step -> value; empty if it has no CSV file.

    Args:
        folder: the run folder. A resumed run has a file for each start; later files win. Incomplete lines of a killed
            process are skipped.
    """
    found: dict[str, Curve] = {}
    starts = [(path.parent.name.removeprefix("version_"), path) for path in (folder / "log").glob("*/metrics.csv")]
    for _, path in sorted((int(start), path) for start, path in starts if start.isdecimal()):
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                step = row.pop("step", None) or ""
                for name, value in row.items() if step.isdecimal() else ():
                    if name and name.startswith(_WATCHED) and _NUMBER.fullmatch(value or ""):
                        found.setdefault(name, {})[int(step)] = float(value)
    return {name: dict(sorted(curve.items())) for name, curve in sorted(found.items())}


def mean_curve(curves: list[Curve]) -> Curve:
    """Return the mean of the curves at the steps that all of them have."""
    steps = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    return {step: sum(curve[step] for curve in curves) / len(curves) for step in sorted(steps)}


def learning_plots(groups: Sequence[Group], data: str, kind: str) -> list[Plot]:
    """Return a figure for each logged metric, the mean over the seeds.

    Args:
        groups: groups of one kind, which log the same metrics.
        data: name of the training data.
        kind: part of the figures' names.
    """
    names = names_of(groups)
    curves = {group: [learning_curves(run.path) for run in group.runs] for group in groups}
    logged = {name for of in curves.values() for one in of for name in one}
    plots = []
    for metric in [*(name for name in _LEARNED if name in logged), *sorted(logged - _LEARNED.keys())]:
        lines = []
        for group, of in curves.items():
            curve = mean_curve([one[metric] for one in of if metric in one])
            if curve:
                lines.append(Series(names[group], list(curve), list(curve.values())))
        words = _LEARNED.get(metric, metric)
        for part, some in parts(lines):
            plots.append(
                line_plot(
                    f"learning_{kind}_{file_part(data)}_{file_part(metric)}{part}",
                    f"{words[0].upper()}{words[1:]}, mean over seeds; {data}",
                    some,
                    "optimizer steps",
                    words.partition(": ")[2],
                )
            )
    return plots
