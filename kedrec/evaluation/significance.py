"""Two runs compared on the same examples, and one experiment over several seeds."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np

from kedrec.errors import KedrecError
from kedrec.evaluation.bootstrap import Function, Values, cluster_sums, interval, p_value, ratio
from kedrec.evaluation.choice_metrics import consistent_f1_sums, disease_of, f1_of, f1_sums

Row = Mapping[str, Any]
Couple = tuple[Row, Row]


@dataclass(frozen=True)
class Comparison:
    """A metric of two runs on the examples that both were asked.

    Attributes:
        first: the metric of the first run, on these examples.
        second: that of the second.
        difference: the first less the second.
        low: lower end of its 95 % interval, diseases resampled whole, both runs together.
        high: upper end.
        p: two-sided, of no difference, by the same resamples: below 0.05 where the interval leaves 0 out.
        examples: how many are compared.
        diseases: of how many diseases they are.
        first_only: examples that the first run alone gets right; of ranks, those that it ranks better.
        second_only: likewise of the second.
        mcnemar: exact two-sided p of McNemar's test (Psychometrika 12, 1947): that the ``first_only + second_only``
            examples on which the runs differ fall to either side by tossing a coin. It takes these for independent,
            which both orders of a pair, and the pairs of a disease, are not: their p is usually too small. If both p
            values are given, use ``p``.
        left_out: how many examples of the first run, and of the second, the other was not asked.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    examples: int
    diseases: int
    first_only: int
    second_only: int
    mcnemar: float
    left_out: tuple[int, int]

    @property
    def note(self) -> str:
        """What was not compared, in words; empty where both runs were asked the same."""
        if not any(self.left_out):
            return ""
        first, second = self.left_out
        return (
            f"not asked the same: {self.examples} examples are common; "
            f"{first} of the first run's and {second} of the second's are left out"
        )


@dataclass(frozen=True)
class Spread:
    """A metric over several seeds of one experiment.

    Attributes:
        mean: of the runs.
        deviation: sample standard deviation; NaN of a single run.
        low: lower end of the 95 % interval of the mean over all seeds, by Student's t; NaN of a single run. It says
            how much training varies, and nothing of other test questions.
        high: upper end.
        runs: how many.
    """

    mean: float
    deviation: float
    low: float
    high: float
    runs: int


def compare_students(first: Sequence[Row], second: Sequence[Row]) -> dict[str, Comparison]:
    """Compare the choices of two students.

    Args:
        first: rows of a ``predictions.jsonl``; matched by ``pair`` and ``swapped``.
        second: those of the other run.

    Returns:
        ``f1`` and ``accuracy`` over both orders, an example a question; ``consistent_accuracy``, right in both orders,
        and ``consistent_f1``, an example a pair. As `kedrec.evaluation.choice_metrics.choice_metrics` has them.

    Raises:
        KedrecError: no question is common, or one that is was put with its drugs in another order.
    """
    couples, left = _matched(first, second, lambda row: (row["pair"], row["swapped"]))
    by_pair: dict[str, list[Couple]] = {}
    for one, other in couples:
        if one["correct"] != other["correct"]:
            raise KedrecError(
                f"the two runs were not asked the same: the drugs of {one['pair']} stand in another order; "
                "compare runs on the same pairs, with the same seed of the data"
            )
        by_pair.setdefault(one["pair"], []).append((one, other))
    told = [_Case(disease_of(one), (f1_sums(one), f1_sums(other)), _right([(one, other)])) for one, other in couples]
    hits = [_shares(disease_of(one), _right([(one, other)])) for one, other in couples]
    both = [group for group in by_pair.values() if len(group) == 2]
    found = {"f1": _compared(told, f1_of, left), "accuracy": _compared(hits, ratio, left)}
    if both:
        asked = [len({row["pair"] for row in rows}) for rows in (first, second)]
        unpaired = (asked[0] - len(both), asked[1] - len(both))
        pairs = [_shares(disease_of(group[0][0]), _right(group)) for group in both]
        found["consistent_accuracy"] = _compared(pairs, ratio, unpaired)
        found["consistent_f1"] = _compared([_consistent(group) for group in both], f1_of, unpaired)
    return found


def compare_ranks(
    first: Sequence[Row], second: Sequence[Row], kind: Literal["all", "typed"] = "typed"
) -> dict[str, Comparison]:
    """Compare where two graph models rank the same true answers.

    Args:
        first: rows of a ``ranks.jsonl``; matched by test set, triple and the side that is missing.
        second: those of the other run.
        kind: whether among all entities or among those of the answer's type.

    Returns:
        Test set -> the comparison of its MRR, an example an answer.

    Raises:
        KedrecError: no answer is common.
    """
    keys = ("set", "head", "relation", "tail", "missing")
    couples, _ = _matched(first, second, lambda row: tuple(row[key] for key in keys))
    found = {}
    for name in dict.fromkeys(one["set"] for one, _ in couples):
        of = [couple for couple in couples if couple[0]["set"] == name]
        counts = [sum(row["set"] == name for row in rows) - len(of) for rows in (first, second)]
        cases = [
            _shares(one["disease"] or one["tail"], (1 / float(one[kind]), 1 / float(other[kind]))) for one, other in of
        ]
        found[name] = _compared(cases, ratio, (counts[0], counts[1]))
    return found


def over_seeds(values: Sequence[float]) -> Spread:
    """Return mean and spread of a metric over runs that differ by their seed alone.

    Args:
        values: of each run, at least one.
    """
    runs = len(values)
    mean = float(np.mean(values))
    if runs < 2:
        return Spread(mean, nan, nan, nan, runs)
    from scipy.stats import t as student  # type: ignore[import-untyped]

    deviation = float(np.std(values, ddof=1))
    half = float(student.ppf(0.975, runs - 1)) * deviation / runs**0.5
    return Spread(mean, deviation, mean - half, mean + half, runs)


@dataclass(frozen=True)
class _Case:
    """What an example adds to the sums of either run, and how well either did on it."""

    disease: Hashable
    sums: tuple[Sequence[float], Sequence[float]]
    success: tuple[float, float]


def _shares(disease: Hashable, success: tuple[float, float]) -> _Case:
    """Return a case of a metric that is the mean of the successes."""
    return _Case(disease, ((success[0], 1.0), (success[1], 1.0)), success)


def _consistent(group: Sequence[Couple]) -> _Case:
    first, second = (consistent_f1_sums([couple[side] for couple in group]) for side in (0, 1))
    return _Case(disease_of(group[0][0]), (first, second), _right(group))


def _right(couples: Sequence[Couple]) -> tuple[float, float]:
    """Return for either run 1 where all questions are answered rightly, else 0."""
    first, second = (all(couple[side]["choice"] == couple[side]["correct"] for couple in couples) for side in (0, 1))
    return float(first), float(second)


def _matched(
    first: Sequence[Row], second: Sequence[Row], key: Callable[[Row], Hashable]
) -> tuple[list[Couple], tuple[int, int]]:
    """Return the rows of the same examples, and how many of either run have no counterpart."""
    others = {key(row): row for row in second}
    couples = [(row, others[key(row)]) for row in first if key(row) in others]
    if not couples:
        raise KedrecError(
            f"the two runs were not asked the same: of {len(first)} examples of the first and {len(second)} of the "
            "second none is common; compare runs on the same pairs or graph, with the same seed of the data"
        )
    return couples, (len(first) - len(couples), len(second) - len(couples))


def _compared(cases: Sequence[_Case], function: Function, left_out: tuple[int, int]) -> Comparison:
    from scipy.stats import binomtest

    totals = cluster_sums([case.disease for case in cases], [[*case.sums[0], *case.sums[1]] for case in cases])
    width = totals.shape[1] // 2

    def less(sums: Values) -> Values:
        difference: Values = function(sums[..., :width]) - function(sums[..., width:])
        return difference

    whole = totals.sum(0)
    low, high = interval(totals, less, (-1.0, 1.0))
    better, worse = (sum(side * (one - other) > 0 for one, other in (c.success for c in cases)) for side in (1, -1))
    return Comparison(
        first=float(function(whole[:width])),
        second=float(function(whole[width:])),
        difference=float(less(whole)),
        low=low,
        high=high,
        p=p_value(totals, less, (-1.0, 1.0)),
        examples=len(cases),
        diseases=len(totals),
        first_only=better,
        second_only=worse,
        mcnemar=float(binomtest(better, better + worse).pvalue) if better + worse else 1.0,
        left_out=left_out,
    )
