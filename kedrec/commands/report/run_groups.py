"""Groups runs that differ only in their seeds, and summarises their numbers: mean, spread, interval."""

import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeGuard

from kedrec.commands.html.page_rendering import anchor
from kedrec.commands.report.reported_runs import Run
from kedrec.evaluation.significance import over_seeds
from kedrec.storage.hashing import key_hash

Kind = Literal["student", "graph", "other"]

SETTINGS = {"vanilla": "vanilla", "clinical_trials": "ClinicalTrials", "pmc": "PubMedCentral", "both": "both sources"}
"""A student's setting -> its name in the paper, in the order of the paper's rows."""
_SOURCES = {(): "vanilla", ("clinical_trials",): "clinical_trials", ("pmc",): "pmc", ("clinical_trials", "pmc"): "both"}
_MODELS = {
    "transe_l1": "TransE",
    "transe_l2": "TransE (L2)",
    "distmult": "DistMult",
    "complex": "ComplEx",
    "rotate": "RotatE",
    "protate": "pRotatE",
    "hake": "HAKE",
    "sage": "GraphSAGE",
    "gat": "GAT",
    "rgcn": "R-GCN",
}
# Settings of the graph's data that the paper varies -> the group that they are in.
_VARIED = {"delete": "noise", "add": "noise", "masked": "anchors"}
# Settings that do not affect the numbers: paths, logging, progress.
_IGNORED = ("seed", "run_dir", "run_id", "logger")
_IGNORED_OF_TRAINER = ("callbacks", "accelerator", "enable_progress_bar", "enable_model_summary", "log_every_n_steps")


@dataclass(frozen=True)
class Figure:
    """A number of one or several seeds.

    Attributes:
        mean: mean over the seeds.
        low: lower bound of a run's 95 % interval, averaged over the seeds; ``None`` if the runs have no interval.
        high: upper bound, likewise.
        sd: sample standard deviation over the seeds; ``None`` for a single seed and for equal values.
        seeds: number of seeds.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    seeds: int = 1

    def times(self, factor: float) -> "Figure":
        """Return the figure in another unit."""
        low, high, sd = (None if value is None else value * factor for value in (self.low, self.high, self.sd))
        return Figure(self.mean * factor, low, high, sd, self.seeds)

    def less(self, other: float) -> "Figure":
        """Return the difference to a number without spread."""
        low, high = (None if value is None else value - other for value in (self.low, self.high))
        return Figure(self.mean - other, low, high, self.sd, self.seeds)


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ only in their seeds.

    Attributes:
        runs: at least one, by ascending seed.
        kind: student, graph model, or other.
        model: name of its row: the setting of a student (a key of `SETTINGS`, or the sources joined by ``+``), the
            scorer of a graph model, with ``+ LLaDR`` if it is anchored in text.
        data: name of the test data.
    """

    runs: tuple[Run, ...]
    kind: Kind
    model: str
    data: str

    @property
    def first(self) -> Run:
        """The run with the lowest seed."""
        return self.runs[0]

    @cached_property
    def label(self) -> str:
        """Its row and its experiments."""
        return f"{SETTINGS.get(self.model, self.model)} ({', '.join(self.experiments)})"

    @property
    def experiments(self) -> list[str]:
        """The experiments' names; several where folders are named after seeds."""
        return list(dict.fromkeys(run.experiment for run in self.runs))

    @property
    def commits(self) -> list[str]:
        """Commits of the code that computed the numbers."""
        return list(dict.fromkeys(run.commit for run in self.runs))

    @property
    def added_metrics(self) -> list[str]:
        """Names of the metrics that classes from outside the package computed."""
        return [str(name) for name in self.first.record.get("added_metrics", [])]

    @property
    def varied(self) -> dict[str, float]:
        """Noise and masking of the graph's data that are above 0: ``delete``, ``add``, ``masked``."""
        settings = self.first.settings("data")
        shares = {name: (settings.get(group) or {}).get(name) for name, group in _VARIED.items()}
        return {name: float(share) for name, share in shares.items() if share}

    def settings_but(self, varied: str) -> str:
        """Return the settings without one of the data's, as a text by which runs can be compared."""
        relevant = _relevant_settings(self.first)
        data = dict(relevant["data"].get("init_args") or {})
        group = _VARIED[varied]
        if rest := {name: value for name, value in (data.pop(group, None) or {}).items() if name != varied}:
            data[group] = rest
        return json.dumps({**relevant, "data": data}, sort_keys=True, default=str)

    def figure(self, name: str) -> Figure | None:
        """Return a metric over the seeds; ``None`` if no run has it."""
        values = list(self._numbers(name))
        if not values:
            return None
        bounds = [(run.metrics.get(f"{name}_low"), run.metrics.get(f"{name}_high")) for run in self.runs]
        finite = [(low, high) for low, high in bounds if _finite(low) and _finite(high)]
        low, high = (statistics.fmean(side) for side in zip(*finite, strict=True)) if finite else (None, None)
        # Numbers that do not depend on the seed, such as those of a base, have no spread.
        spread = over_seeds(values)
        sd = spread.deviation if len(set(values)) > 1 else None
        return Figure(spread.mean, low, high, sd, len(values))

    def _numbers(self, name: str) -> Iterator[float]:
        for run in self.runs:
            value = run.metrics.get(name)
            if _finite(value):
                yield float(value)


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def group_runs(runs: Sequence[Run], sample: str) -> list[Group]:
    """Return the runs by experiment, in the order of the papers' tables.

    Args:
        runs: as `find_runs` returns them.
        sample: SHA-256 of the bundled sample's graph.
    """
    labels = _data_labels(runs, sample)
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(
            json.dumps([labels[run.path], _relevant_settings(run)], sort_keys=True, default=str), []
        ).append(run)
    groups = [
        Group(one, *_role(one[0]), labels[one[0].path]) for alike in found.values() for one in _each_seed_once(alike)
    ]
    return sorted(groups, key=_place)


def differing(groups: Sequence[Group]) -> dict[Group, str]:
    """Return for each group the settings in which it differs from the others, as a short text."""
    flat = {group.first.path: dict(_flat(_relevant_settings(group.first))) for group in groups}
    names = dict.fromkeys(name for settings in flat.values() for name in settings)
    apart = [name for name in names if len({str(settings.get(name)) for settings in flat.values()}) > 1]
    return {
        group: ", ".join(f"{name.rpartition('.')[2]} {flat[group.first.path].get(name, 'default')}" for name in apart)
        for group in groups
    }


def distinctions(groups: Sequence[Group]) -> dict[Group, str]:
    """Return for each group how it differs from others of its model and data; empty if there are no others."""
    found: dict[Group, str] = {}
    for group in groups:
        alike = [
            other for other in groups if (other.kind, other.model, other.data) == (group.kind, group.model, group.data)
        ]
        words = differing(alike) if len(alike) > 1 else {group: ""}
        if len(set(words.values())) < len(words):  # equal settings: add the folder's name
            words = {other: ", ".join(filter(None, (words[other], other.first.path.name))) for other in alike}
        if len(set(words.values())) < len(words):  # equal names of folders: add a number
            words = {other: f"{words[other]}, {number}" for number, other in enumerate(alike, start=1)}
        found[group] = words[group]
    return found


def _each_seed_once(alike: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """Split runs of equal settings so that each seed occurs once in a group, by commit first."""
    left = sorted(alike, key=lambda run: (run.seed, str(run.path)))
    if len({run.seed for run in left}) < len(left):
        commits = dict.fromkeys(run.commit for run in left)
        parts = [[run for run in left if run.commit == commit] for commit in commits]
    else:
        parts = [left]
    for part in parts:
        rest = part
        while rest:
            once = {run.seed: run for run in reversed(rest)}
            taken = [run for run in rest if once[run.seed] is run]
            rest = [run for run in rest if once[run.seed] is not run]
            yield tuple(taken)


def _role(run: Run) -> tuple[Kind, str]:
    """Return the kind of a run, and the name of its row."""
    model, data = run.settings("model"), run.settings("data")
    if run.finished.task == "choice":
        sources = tuple(sorted((data.get("retrieval") or {}).get("sources") or ()))
        setting = _SOURCES.get(sources, " + ".join(sources))
        if run.finished.collection == "MIMIC":
            setting = "mimic"
        if "biogpt" in str(model.get("base", "")).lower():
            return "student", f"BioGPT, {SETTINGS.get(setting, setting)}"
        if (model.get("loss") or {}).get("answer", 1) == 0:
            return "student", f"choices alone, {SETTINGS.get(setting, setting)}"
        return "student", setting
    kind: Kind = "graph" if run.finished.task == "link_prediction" else "other"
    if run.finished.title:
        return kind, run.finished.title
    name = _graph_model(model, run.class_name("model").rpartition(".")[2])
    return kind, f"{name} + LLaDR" if (data.get("anchors") or {}).get("sources") else name


def _place(group: Group) -> tuple[Any, ...]:
    settings = list(SETTINGS)
    known = settings.index(group.model) if group.model in settings else len(settings)
    models = list(_MODELS.values())
    name = group.model.removesuffix(" + LLaDR")
    order = models.index(name) if name in models else len(models)
    noise = sorted(group.varied.items())
    return group.data != "sample", group.data, group.kind, known, order, group.model, noise, str(group.first.path)


def _graph_model(model: Mapping[str, Any], class_name: str) -> str:
    """Return how the report names a model by its layer, else by its scorer."""
    layer, scorer = (model.get("encoder") or {}).get("layer"), model.get("scorer")
    if layer is None and isinstance(scorer, Mapping):  # from outside the package
        return str(scorer["class_path"]).rpartition(".")[2]
    return _MODELS.get(str(layer or scorer), class_name)


def _relevant_settings(run: Run) -> dict[str, Any]:
    """Return the settings that affect a run's numbers, without the folders of its files."""
    tree = {name: value for name, value in run.tree.items() if name not in _IGNORED}
    tree["trainer"] = {name: value for name, value in tree["trainer"].items() if name not in _IGNORED_OF_TRAINER}
    plain: dict[str, Any] = _without_folders(tree)
    return plain


def _without_folders(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: _without_folders(value) for name, value in node.items() if name != "seed"}
    if isinstance(node, list):
        return [_without_folders(value) for value in node]
    if isinstance(node, str) and "/" in node and not node.startswith(("http://", "https://")):
        return Path(node).name
    return node


def _flat(node: Any, head: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _flat(value, f"{head}.{name}" if head else str(name))
    else:
        yield head, node


def _data_labels(runs: Sequence[Run], sample: str) -> dict[Path, str]:
    """Return a name of each run's data: "sample", "MIMIC", or the last two parts of the graph's path.

    Graphs are identified by checksum: a graph has one name whatever its path, and two graphs have different names.
    """
    known = {run.path: _graph_hash(run) or key_hash({"name": _data_name(run)}) for run in runs}
    names: dict[str, str] = {}
    for run in runs:
        names.setdefault(known[run.path], "sample" if known[run.path] == sample else _data_name(run))
    parts = [anchor(name) for name in names.values()]
    labels = {key: f"{name} {key[:8]}" if parts.count(anchor(name)) > 1 else name for key, name in names.items()}
    return {path: labels[key] for path, key in known.items()}


def _data_name(run: Run) -> str:
    class_name = run.class_name("data").rpartition(".")[2]
    graph = str(run.settings("data").get("graph") or class_name)
    return run.finished.collection or "/".join(Path(graph).parts[-2:])


def _graph_hash(run: Run) -> str:
    checksum = re.search(r"\b[0-9a-f]{64}\b", str(run.record.get("data", {}).get("graph", "")))
    return checksum.group() if checksum else ""
