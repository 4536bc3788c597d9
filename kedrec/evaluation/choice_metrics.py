"""Metrics of the choice between two drugs, with each question in both orders."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kedrec.evaluation.bootstrap import Values, with_interval

Row = Mapping[str, Any]

_ALIKE = 2.0  # greatest ratio of the two drugs' degrees in a degree-matched pair


def choice_metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Return the metrics of the choice, each but the counts with its 95 % interval, ``NAME_low`` and ``NAME_high``.

    Args:
        rows: predictions, two for each pair, with ``pair``, ``drugs``, ``correct``, ``choice``, ``scores`` and
            ``swapped``. Metrics of heuristic baselines are computed from the rows that have ``heuristics``.

    Returns:
        The metrics below.

        ``f1``: macro F1 of the chosen position (first, second), over all rows, hence over both orders: a model that
        always chooses the first drug gets 1/3. ``accuracy``: share of right choices, over the same rows.
        ``f1_given_order``: F1 over the stored order alone, as a test set of single questions gives it.

        ``flip_rate``: share of pairs whose chosen drug changes with the order. ``consistent_accuracy``: share of pairs
        that are right in both orders. ``consistent_f1``: F1 where a pair whose choice changes with the order has no
        answer: that costs recall, not precision, and a model that always chooses the first drug gets 0.
        ``accuracy_order_averaged``: share of pairs whose relevant drug has the higher log-probability, summed over the
        two orders.

        ``f1_degree_matched``: F1 over the pairs whose drugs have similar degrees, one at most twice the other, so that
        popularity does not help; ``degree_matched_pairs``: their number.

        ``heuristic_NAME``: accuracy of a heuristic baseline, ties counted half; its choice does not depend on the
        order, so that this is its macro F1 as well. ``heuristic_NAME_pairs``: number of pairs that it has scores for,
        where not all. ``agreement_with_nearest_passage``: share of the rows where the model chooses as that baseline
        does, ties counted half.

        ``pairs``, ``diseases``: their numbers. Intervals resample diseases.
    """
    by_pair: dict[str, list[Row]] = {}
    for row in rows:
        by_pair.setdefault(row["pair"], []).append(row)
    pairs = [sorted(group, key=lambda row: row["swapped"]) for group in by_pair.values()]
    given = [group[0] for group in pairs]
    both = [group for group in pairs if len(group) == 2]
    return {
        **with_interval("f1", rows, disease_of, f1_sums, f1_of),
        **with_interval("f1_given_order", given, disease_of, f1_sums, f1_of),
        **with_interval("accuracy", rows, disease_of, lambda row: (row["choice"] == row["correct"], 1)),
        **with_interval("accuracy_order_averaged", both, _disease, lambda group: (sum(map(_margin, group)) > 0, 1)),
        **with_interval("consistent_accuracy", both, _disease, lambda group: (_right(group), 1)),
        **with_interval("consistent_f1", both, _disease, consistent_f1_sums, f1_of),
        **with_interval("flip_rate", both, _disease, lambda group: (_drug(group[0]) != _drug(group[1]), 1)),
        **_degree_matched(pairs),
        **_heuristic_baselines(given),
        **_agreement(rows),
        "pairs": float(len(pairs)),
        "diseases": float(len({disease_of(row) for row in given})),
    }


def disease_of(row: Row) -> str:
    """Return the id of the disease of a prediction."""
    return str(row["pair"]).partition("|")[0]


def f1_sums(row: Row) -> list[float]:
    """Return the summands of a prediction for `f1_of`, ``(4,)``."""
    chosen, correct = row["choice"], row["correct"]
    hits = [float(chosen == correct == side) for side in (0, 1)]
    return [*hits, *(float((chosen == side) + (correct == side)) for side in (0, 1))]


def consistent_f1_sums(group: Sequence[Row]) -> list[float]:
    """Return the summands of a pair for `f1_of`, ``(4,)``; a choice that flips counts as unanswered."""
    sums = [sum(each) for each in zip(*map(f1_sums, group), strict=True)]
    return sums if _drug(group[0]) == _drug(group[1]) else [0.0, 0.0, 1.0, 1.0]  # each position is right once


def f1_of(sums: Values) -> Values:
    """Return the macro F1 of the chosen position, over the positions that were chosen or correct; NaN without any.

    Args:
        sums: ``(…, 4)``, for each position how often it was chosen correctly; then how often it was chosen plus how
            often it was correct.
    """
    hits, named = sums[..., :2], sums[..., 2:]
    each = np.divide(2 * hits, named, out=np.zeros(named.shape), where=named > 0)
    found = (named > 0).sum(-1)
    mean: Values = np.where(found > 0, each.sum(-1) / np.maximum(found, 1), np.nan)
    return mean


def _degree_matched(pairs: Sequence[Sequence[Row]]) -> dict[str, float]:
    degrees = [group[0].get("heuristics", {}).get("degree") for group in pairs]
    if not any(degrees):
        return {}
    alike = [group for group, two in zip(pairs, degrees, strict=True) if two and max(two) <= _ALIKE * min(two)]
    matched = [row for group in alike for row in group]
    found = with_interval("f1_degree_matched", matched, disease_of, f1_sums, f1_of) if matched else {}
    return {**found, "degree_matched_pairs": float(len(alike))}


def _heuristic_baselines(rows: Sequence[Row]) -> dict[str, float]:
    """Return the accuracy of each heuristic baseline, and its number of pairs where it has no scores for some."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row.get("heuristics", ())):
        scored = [row for row in rows if name in row.get("heuristics", ())]
        right = [(row, _preference(row, name, row["correct"])) for row in scored]
        found |= with_interval(f"heuristic_{name}", right, lambda one: disease_of(one[0]), lambda one: (one[1], 1))
        if len(scored) < len(rows):
            found[f"heuristic_{name}_pairs"] = float(len(scored))
    return found


def _agreement(rows: Sequence[Row], baseline: str = "nearest_passage") -> dict[str, float]:
    scored = [row for row in rows if baseline in row.get("heuristics", ())]
    if not scored:
        return {}
    return with_interval(
        f"agreement_with_{baseline}", scored, disease_of, lambda row: (_preference(row, baseline, row["choice"]), 1)
    )


def _preference(row: Row, baseline: str, drug: int) -> float:
    """Return 1 where a heuristic baseline chooses ``drug``, 1/2 for a tie, else 0."""
    scores = row["heuristics"][baseline]
    lead = scores[drug] - scores[1 - drug]
    return 0.5 if lead == 0 else float(lead > 0)


def _right(group: Sequence[Row]) -> bool:
    return all(row["choice"] == row["correct"] for row in group)


def _disease(group: Sequence[Row]) -> str:
    return disease_of(group[0])


def _drug(row: Row) -> str:
    return str(row["drugs"][row["choice"]])


def _margin(row: Row) -> float:
    scores, correct = row["scores"], row["correct"]
    return float(scores[correct] - scores[1 - correct])
