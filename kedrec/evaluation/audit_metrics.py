"""What a student's choice rests on: its answers to test questions that were asked again, otherwise."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.bootstrap import with_interval
from kedrec.evaluation.choice_metrics import disease_of, f1_of, f1_sums

Row = Mapping[str, Any]
Pairs = dict[str, list[Row]]


def audit_metrics(rows: Sequence[Row], audited: Sequence[Row]) -> dict[str, float]:
    """Return what the audits say, each figure with the bounds of its interval; of those that were asked.

    Args:
        rows: predictions of the test, two a pair.
        audited: predictions of the questions asked again, with ``audit``.

    Returns:
        ``flagged``: share of pairs with a passage that states the answer. ``f1_without_flagged``: F1 without those;
        pairs that have none answer as before. ``f1_without_passages``: F1 with no passage at all.
        ``known_closed_book``: share of pairs right in both orders without passages. ``evidence_followed``: share of
        pairs where with the two drugs' passages exchanged the other drug is chosen, in both orders as before;
        ``name_followed``: where the same one is; ``position_followed``: where the choice changes with the order, before
        or after. ``f1_blinded``: F1 with the drugs' names hidden; ``memorised``: F1 less that, what the names were
        worth.
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
    """Return the answers that were given without any passage."""
    return [row for row in audited if row["audit"] == "closed_book"] + [row for row in rows if not row["passages"]]


def unknown_to_base(rows: Sequence[Row], base_rows: Sequence[Row], base_audited: Sequence[Row]) -> dict[str, float]:
    """Return how a student does on the pairs that its base did not know.

    Args:
        rows: the student's predictions of the test.
        base_rows: the untouched base's.
        base_audited: the untouched base's answers to the questions asked again.

    Returns:
        ``f1_unknown_to_base`` with its bounds, and ``unknown_to_base_pairs``: of how many pairs, those that the base
        does not get right in both orders without passages. Nothing where the base was not asked all pairs without.
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
    """Return F1 of the rows less F1 of the changed ones, diseases resampled together."""
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
    """Return the rows of each pair that was asked in both orders; a test cut short may hold one of them alone."""
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
