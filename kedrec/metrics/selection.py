"""Metrics of the choice between two drugs, each question asked in both orders."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_f1_score

from kedrec.metrics.bootstrap import bootstrap_interval


def selection_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics of the choice.

    Args:
        rows: predictions with ``pair``, ``drugs``, ``correct``, ``choice``, ``scores``, ``swapped`` and ``controls``;
            two a pair.

    Returns:
        ``f1``: macro F1 of the position chosen (first, second), over all rows, so both orders: a model that always
        says "first" gets 1/3. ``f1_low``, ``f1_high``: its 95 % bootstrap interval, diseases resampled whole.
        ``accuracy``: the same rows. ``f1_given_order``: F1 of the stored order alone, as a
        test set of single questions would give it. ``flip_rate``: share of pairs where the drug chosen changes with
        the order. ``consistent_accuracy``: share right in both orders. ``accuracy_order_averaged``: the drug with the
        higher log-probability summed over the two orders. ``control_NAME``: accuracy of a rule that reads nothing, ties
        counted half; its choice does not depend on the order, so that this is its macro F1 as well.
        ``control_NAME_pairs``: of how many it speaks, where that is not all. ``control_agreement``: share of the rows
        in which the model chooses as ``nearest_passage`` does, ties counted half. ``pairs``: how many.
    """
    by_pair: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_pair.setdefault(row["pair"], []).append(row)
    pairs = [sorted(group, key=lambda row: row["swapped"]) for group in by_pair.values()]
    given = [group[0] for group in pairs]
    both = [group for group in pairs if len(group) == 2]
    flips = [_drug(first) != _drug(second) for first, second in both]
    consistent = [all(row["choice"] == row["correct"] for row in group) for group in both]
    averaged = [sum(_margin(row) for row in group) > 0 for group in both]
    return {
        "f1": _macro_f1(rows),
        **_interval(rows),
        "f1_given_order": _macro_f1(given),
        "accuracy": _mean([row["choice"] == row["correct"] for row in rows]),
        "accuracy_order_averaged": _mean(averaged),
        "consistent_accuracy": _mean(consistent),
        "flip_rate": _mean(flips),
        **_controls(given),
        "control_agreement": _mean([_ruled(row, "nearest_passage", row["choice"]) for row in rows]),
        "pairs": float(len(pairs)),
    }


def _macro_f1(rows: Sequence[Mapping[str, Any]]) -> float:
    chosen = torch.tensor([row["choice"] for row in rows])
    correct = torch.tensor([row["correct"] for row in rows])
    return float(multiclass_f1_score(chosen, correct, num_classes=2, average="macro"))


def _interval(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    chosen, correct = (np.array([row[of] for row in rows]) for of in ("choice", "correct"))

    def f1(at: NDArray[np.int64]) -> float:
        mine, true = chosen[at], correct[at]
        hits = [int(((mine == side) & (true == side)).sum()) for side in (0, 1)]
        each = [2 * hit / max(1, int((mine == side).sum() + (true == side).sum())) for side, hit in enumerate(hits)]
        return sum(each) / 2

    low, high = bootstrap_interval([row["pair"].partition("|")[0] for row in rows], f1)
    return {"f1_low": low, "f1_high": high}


def _controls(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the accuracy of each rule, and of how many pairs where it has nothing to say of others."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row["controls"]):
        right = [_ruled(row, name, row["correct"]) for row in rows if name in row["controls"]]
        found[f"control_{name}"] = _mean(right)
        if len(right) < len(rows):
            found[f"control_{name}_pairs"] = float(len(right))
    return found


def _ruled(row: Mapping[str, Any], rule: str, drug: int) -> float:
    """Return 1 where a rule is for ``drug``, 1/2 for a tie, else 0."""
    lead = row["controls"][rule][drug] - row["controls"][rule][1 - drug]
    return 0.5 if lead == 0 else float(lead > 0)


def _drug(row: Mapping[str, Any]) -> str:
    return str(row["drugs"][row["choice"]])


def _margin(row: Mapping[str, Any]) -> float:
    scores, correct = row["scores"], row["correct"]
    return float(scores[correct] - scores[1 - correct])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
