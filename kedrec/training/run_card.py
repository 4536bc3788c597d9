"""The card of a run in Markdown, and the tables of its main metrics."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from kedrec.config import Experiment

Table = tuple[list[str], list[list[str]]]  # header and rows
_BOUNDS = ("_low", "_high")  # endings of an interval's metrics


def card(experiment: Experiment, metrics: Mapping[str, float], record: Mapping[str, Any], reading: str) -> str:
    """Return the run's card in Markdown.

    Args:
        experiment: of the run.
        metrics: of its test.
        record: of ``provenance.json``.
        reading: how the metrics are to be read, in words; may be empty.
    """
    data = record["data"]
    lines = [
        f"# {experiment.name} ({experiment.run_id})",
        "",
        "Research use, not medical advice: the answers are a model's.",
        "",
        "## Numbers of the test set",
        "",
        *(line for table in tables(metrics) for line in (*markdown(table), "")),
        *([reading, ""] if reading else []),
        "## Data",
        "",
        *(f"* {name.replace('_', ' ')}: {value}" for name, value in data.items()),
        "",
        "## Settings",
        "",
        " ".join(["of", record["experiment"], *map(shlex.quote, record["overrides"])]),
        "",
        "```yaml",
        experiment.yaml().rstrip(),
        "```",
        "",
        "## Made with",
        "",
        f"* commit {record['commit'] or 'unknown'}; "
        + ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        f"* {record['hardware']['processor']}, {record['hardware']['cores']} cores"
        + "".join(f", {gpu}" for gpu in record["hardware"]["gpus"]),
        f"* seconds: {', '.join(f'{stage} {seconds:.0f}' for stage, seconds in record['seconds'].items())}; "
        f"peak memory {record['peak_memory_bytes'] / 2**30:.1f} GiB",
        "",
        "## Limits",
        "",
        "One test set and one seed: compare runs over several seeds. An answer that agrees with the graph is no "
        "finding about a patient.",
        "",
    ]
    return "\n".join(lines)


def metric_names(metrics: Mapping[str, float]) -> list[str]:
    """Return the names of the metrics without ``base/`` and ``test/``; not those of intervals and of rankings."""
    parts = [name.split("/") for name in metrics]
    return list(dict.fromkeys(path[1] for path in parts if len(path) == 2 and not path[1].endswith(_BOUNDS)))


def tables(metrics: Mapping[str, float], names: Sequence[str] | None = None) -> list[Table]:
    """Return the tables of the main metrics, as headers and rows.

    The first table has a row for each NAME of ``base/NAME`` and ``test/NAME``, a column for each model, and in brackets
    the interval ``NAME_low`` to ``NAME_high``. The second has a row for each SET and KIND of ``test/SET/KIND/NAME``,
    and a column for each NAME, without spreads and expectations. All other metrics are only in ``metrics.json``.

    Args:
        metrics: of a run.
        names: of the rows of the first table, without ``base/`` and ``test/``; ``None`` for all of `metric_names`.
    """
    parts = {name: name.split("/") for name in metrics}
    plain = metric_names(metrics) if names is None else names
    columns = {"base": "base/", "trained": "test/"}
    used = {title: head for title, head in columns.items() if any(head + name in metrics for name in plain)}
    found: list[Table] = []
    if plain:
        cells = [[_with_bounds(metrics, head + name) for head in used.values()] for name in plain]
        found.append((["metric", *used], [[name, *row] for name, row in zip(plain, cells, strict=True)]))
    fine = {name: path for name, path in parts.items() if len(path) == 4 and "_" not in path[3]}
    kinds = dict.fromkeys(tuple(path[:3]) for path in fine.values())
    measures = dict.fromkeys(path[3] for path in fine.values())
    if fine:
        rows = [
            [" ".join(kind[1:]), *(_shown(metrics.get("/".join((*kind, one)))) for one in measures)] for kind in kinds
        ]
        found.append((["ranking", *measures], rows))
    return found


def _with_bounds(metrics: Mapping[str, float], name: str) -> str:
    """Return a metric, with its interval where there is one."""
    low, high = (metrics.get(name + end) for end in _BOUNDS)
    bounds = "" if low is None or high is None else f" ({low:.3f}-{high:.3f})"
    return _shown(metrics.get(name)) + bounds


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def markdown(table: Table) -> list[str]:
    """Return the lines of a Markdown table."""
    header, rows = table
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
