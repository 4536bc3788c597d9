"""Robustness audits of a student's choice: its answers to counterfactual variants of the test questions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.bootstrap import with_interval
from kedrec.evaluation.choice_metrics import disease_of, f1_of, f1_sums

Row = Mapping[str, Any]
Pairs = dict[str, list[Row]]


def audit_metrics(rows: Sequence[Row], audited: Sequence[Row]) -> dict[str, float]:
    """Return the metrics of the audits in ``audited``, each with the bounds of its interval.

    Args:
        rows: predictions of the test, two a pair.
        audited: predictions of the counterfactual questions, with ``audit``.

    Returns:
        ``flagged``: share of pairs with a passage that states the answer. ``f1_without_flagged``: F1 after removing
        such passages; other pairs keep their answers. ``f1_without_passages``: F1 without any passage.
        ``known_closed_book``: share of pairs that are right in both orders without passages. The next three exchange
        the passages of the two drugs. ``evidence_followed``: share of pairs that then choose the other drug, in both
        orders each time (evidence-sensitive); ``name_followed``: that choose the same drug (name-biased);
        ``position_followed``: whose choice changes with the order, before or after (position-biased). ``f1_blinded``:
        F1 with the names of the drugs masked; ``memorised``: F1 less ``f1_blinded``, the part due to the names.
    """
    asked = {audit: [row for row in audited if row["audit"] == audit] for audit in dict.fromkeys(_audits(audited))}
    pairs = _by_pair(rows).values()
    found = with_interval("flagged", pairs, _pairs_disease, lambda group: (bool(group[0]["telling"]), 1))
    changed = {_question(row) for row in asked.get("without_flagged", ())}
    if all(_question(row) in changed for row in rows if row["telling"]):
        unchanged = [row for row in rows if _question(row) not in changed]
        found |= _f1("f1_without_flagged", [*asked.get("without_flagged", ()), *unchanged])
    bookless = closed_book(rows, audited)
    if bookless:
        if "closed_book" in asked:
            found |= _f1("f1_without_passages", bookless)
        known = _by_pair(bookless).values()
        found |= with_interval("known_closed_book", known, _pairs_disease, lambda group: (_right(group), 1))
    if "exchanged" in asked:
        found |= _followed(rows, asked["exchanged"])
    if "blinded" in asked:
        found |= _f1("f1_blinded", asked["blinded"]) | _drop("memorised", rows, asked["blinded"])
    return found


def closed_book(rows: Sequence[Row], audited: Sequence[Row]) -> list[Row]:
    """Return the answers without any passage."""
    return [row for row in audited if row["audit"] == "closed_book"] + [row for row in rows if not row["passages"]]


def unknown_to_base(rows: Sequence[Row], base_rows: Sequence[Row], base_audited: Sequence[Row]) -> dict[str, float]:
    """Return the F1 of a student on the pairs that its base did not know.

    Args:
        rows: the student's predictions of the test.
        base_rows: predictions of the untrained base.
        base_audited: answers of the untrained base to the counterfactual questions.

    Returns:
        ``f1_unknown_to_base`` with its bounds, and ``unknown_to_base_pairs``, the number of pairs that the base does
        not get right in both orders without passages. Empty unless the base answered all pairs without passages.
    """
    bookless = _by_pair(closed_book(base_rows, base_audited))
    if not _by_pair(rows).keys() <= bookless.keys():
        return {}
    unknown = {pair for pair, group in bookless.items() if not _right(group)}
    left = [row for row in rows if row["pair"] in unknown]
    return {**(_f1("f1_unknown_to_base", left) if left else {}), "unknown_to_base_pairs": float(len(unknown))}


def _followed(rows: Sequence[Row], exchanged: Sequence[Row]) -> dict[str, float]:
    before, after = _by_pair(rows), _by_pair(exchanged)
    both = [(before[pair], after[pair]) for pair in before if pair in after]

    def follows(case: tuple[list[Row], list[Row]]) -> str:
        chosen = [{row["drugs"][row["choice"]] for row in group} for group in case]
        if max(map(len, chosen)) > 1:
            return "position"
        return "name" if chosen[0] == chosen[1] else "evidence"

    def told(which: str) -> dict[str, float]:
        return with_interval(
            f"{which}_followed", both, lambda case: _pairs_disease(case[0]), lambda case: (follows(case) == which, 1)
        )

    return {**told("evidence"), **told("name"), **told("position")}


def _drop(name: str, rows: Sequence[Row], changed: Sequence[Row]) -> dict[str, float]:
    """Return F1 of the rows less F1 of the changed rows; both are resampled together, by disease."""
    both = {_question(row) for row in rows} & {_question(row) for row in changed}
    cases = [(row, side) for side, of in enumerate((rows, changed)) for row in of if _question(row) in both]
    width = len(f1_sums(rows[0]))

    def sums(case: tuple[Row, int]) -> list[float]:
        row, side = case
        blank = [0.0] * width
        return [*f1_sums(row), *blank] if side == 0 else [*blank, *f1_sums(row)]

    def less(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        difference: NDArray[np.float64] = f1_of(totals[..., :width]) - f1_of(totals[..., width:])
        return difference

    return with_interval(name, cases, lambda case: disease_of(case[0]), sums, less, (-1.0, 1.0))


def _f1(name: str, rows: Sequence[Row]) -> dict[str, float]:
    return with_interval(name, rows, disease_of, f1_sums, f1_of)


def _by_pair(rows: Iterable[Row]) -> Pairs:
    """Return the rows of each pair with both orders; a truncated test may have only one of them."""
    found: Pairs = {}
    for row in rows:
        found.setdefault(row["pair"], []).append(row)
    return {pair: group for pair, group in found.items() if len(group) == 2}


def _audits(rows: Iterable[Row]) -> list[str]:
    return [row["audit"] for row in rows]


def _question(row: Row) -> tuple[str, bool]:
    return row["pair"], row["swapped"]


def _right(group: Sequence[Row]) -> bool:
    return all(row["choice"] == row["correct"] for row in group)


def _pairs_disease(group: Sequence[Row]) -> str:
    return disease_of(group[0])
