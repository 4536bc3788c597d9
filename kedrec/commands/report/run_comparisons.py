"""Compares runs on the same examples: students by their choices, graph models by their ranks."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from kedrec.commands.report.plot_elements import names_of
from kedrec.commands.report.report_tables import Table, TableOf, file_part, shown
from kedrec.commands.report.reported_runs import Run
from kedrec.commands.report.run_groups import Figure, Group
from kedrec.errors import KedrecError
from kedrec.evaluation.significance import Comparison, compare_ranks, compare_students

Rows = Sequence[Mapping[str, Any]]
_COLUMNS = (
    "compared", "metric", "first", "second", "difference", "p", "first only", "second only", "McNemar p", "examples",
    "diseases", "seed", "experiments", "commits",
)  # fmt: skip
_WORDS = (1, 12, 13)  # columns of text
_METRICS = {"f1": "F1", "consistent_f1": "consistent F1", "consistent_accuracy": "accuracy, both orders"}


def student_comparisons(groups: Sequence[Group], data: str) -> Table | None:
    """Compare each student with its untouched base, and each two students; ``None`` if there is nothing to compare.

    Args:
        groups: students tested on ``data``; of two, the runs with the lowest common seed are compared.
        data: name of the test data.
    """
    names = names_of(groups)
    table = TableOf(
        f"students_compared_{file_part(data)}", f"Students on the same questions, {data}", _COLUMNS, text=_WORDS
    )
    refused: list[str] = []
    answers = {run: run.rows("predictions.jsonl") for group in groups for run in group.runs}
    for group in groups:
        base = group.first.rows("predictions_base.jsonl")
        if base and answers[group.first]:
            words = f"{names[group]}: trained against base"
            _add_students(table, words, (group.first,), answers[group.first], base, refused)
    for one, other in combinations([group for group in groups if any(answers[run] for run in group.runs)], 2):
        for first, second in _same_seed(one, other):
            words = f"{names[other]} against {names[one]}"
            _add_students(table, words, (second, first), answers[second], answers[first], refused)
    return _done(table, refused)


def rank_comparisons(groups: Sequence[Group], data: str) -> Table | None:
    """Compare each anchored model with the same scorer without anchors, by test set; ``None`` without ranks.

    Args:
        groups: graph models tested on ``data``; of two, the runs with the lowest common seed are compared.
        data: name of the test data.
    """
    names = names_of(groups)
    table = TableOf(f"ranks_compared_{file_part(data)}", f"Models on the same triples, {data}", _COLUMNS, text=_WORDS)
    refused: list[str] = []
    for anchored in groups:
        for plain in groups:
            if anchored.model != f"{plain.model} + LLaDR":
                continue
            for first, second in _same_seed(anchored, plain):
                rows = first.rows("ranks.jsonl"), second.rows("ranks.jsonl")
                if not all(rows):
                    continue
                words = f"{names[anchored]} against {names[plain]}"
                try:
                    found = compare_ranks(*rows)
                except KedrecError as fault:
                    refused.append(f"{words}: {fault}")
                    continue
                for test, comparison in found.items():
                    _add(table, words, f"{test}: MRR, typed", (first, second), comparison)
    return _done(table, refused)


def _add_students(
    table: TableOf, words: str, runs: Sequence[Run], first: Rows, second: Rows, refused: list[str]
) -> None:
    try:
        found = compare_students(first, second)
    except KedrecError as fault:
        refused.append(f"{words}: {fault}")
        return
    for metric, called in _METRICS.items():
        if metric in found:
            _add(table, words, called, runs, found[metric])


def _add(table: TableOf, words: str, metric: str, runs: Sequence[Run], found: Comparison) -> None:
    table.add(
        words,
        metric,
        f"{found.first:.3f}",
        f"{found.second:.3f}",
        shown(Figure(found.difference, found.low, found.high), signed=True),
        _p(found.p),
        str(found.first_only),
        str(found.second_only),
        _p(found.mcnemar),
        str(found.examples),
        str(found.diseases),
        str(runs[0].seed),
        ", ".join(dict.fromkeys(run.experiment for run in runs)),
        ", ".join(dict.fromkeys(run.commit for run in runs)),
    )


def _done(table: TableOf, refused: Sequence[str]) -> Table | None:
    if not table.rows and not refused:
        return None
    return table.done(
        "Difference: the first less the second, with 95 % interval and two-sided p by paired bootstrap over diseases. "
        "First only, second only: examples that only this one got right, or ranked better. McNemar's exact test "
        "assumes independent examples, but those of one disease are not: if the two p values differ, trust the "
        f"bootstrap's. p is not adjusted for the number of comparisons, {table.rows}.",
        *(f"Not compared: {why}" for why in refused),
    )


def _same_seed(one: Group, other: Group) -> Iterator[tuple[Run, Run]]:
    """Yield the runs with the lowest seed that both groups have, if there is one."""
    seeds = {run.seed: run for run in other.runs}
    for run in one.runs:
        if run.seed in seeds:
            yield run, seeds[run.seed]
            return


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
