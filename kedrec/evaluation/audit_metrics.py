"""Metrics of the robustness audits: how a student answers counterfactual forms of the test questions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.bootstrap import with_interval
from kedrec.evaluation.choice_metrics import disease_of, f1_of, f1_sums

Row = Mapping[str, Any]
Pairs = dict[str, list[Row]]


def audit_metrics(rows: Sequence[Row], audited: Sequence[Row]) -> dict[str, float]:
    """Return the metrics of the robustness audits, each with its 95 % interval; of the audits that were made.

    Args:
        rows: predictions of the test, two for each pair.
        audited: predictions of the counterfactual questions, with ``audit``.

    Returns:
        The metrics below.

        ``answer_stated``: share of pairs with a passage that states the answer. ``f1_without_stated_answers``: F1
        without these passages; pairs that have none keep their answers. ``f1_without_passages``: F1 without any
        passage. ``closed_book_consistent_accuracy``: share of pairs right in both orders without passages.

        With the two drugs' passages exchanged, ``evidence_sensitivity``: share of pairs where the other drug is chosen,
        in both orders; ``name_bias``: where the same drug is chosen; ``position_bias``: where the choice changes with
        the order, before or after.

        ``f1_names_masked``: F1 with the drugs' names masked; ``parametric_knowledge``: F1 less that, the gain from
        knowing the names.
    """
    by_audit = {audit: [row for row in audited if row["audit"] == audit] for audit in dict.fromkeys(_audits(audited))}
    pairs = _by_pair(rows).values()
    found = with_interval("answer_stated", pairs, _pairs_disease, lambda group: (_states_answer(group[0]), 1))
    without_answers = by_audit.get("without_stated_answers", [])
    changed = {_question(row) for row in without_answers}
    if all(_question(row) in changed for row in rows if _states_answer(row)):
        unchanged = [row for row in rows if _question(row) not in changed]
        found |= _f1("f1_without_stated_answers", [*without_answers, *unchanged])
    bookless = closed_book(rows, audited)
    if bookless:
        if "closed_book" in by_audit:
            found |= _f1("f1_without_passages", bookless)
        known = _by_pair(bookless).values()
        right = with_interval(
            "closed_book_consistent_accuracy", known, _pairs_disease, lambda group: (_right(group), 1)
        )
        found |= right
    if "passages_exchanged" in by_audit:
        found |= _counterfactual(rows, by_audit["passages_exchanged"])
    if masked := by_audit.get("names_masked"):
        found |= _f1("f1_names_masked", masked) | _drop("parametric_knowledge", rows, masked)
    return found


def closed_book(rows: Sequence[Row], audited: Sequence[Row]) -> list[Row]:
    """Return the answers without any passage."""
    return [row for row in audited if row["audit"] == "closed_book"] + [row for row in rows if not row["passages"]]


def unknown_to_base(rows: Sequence[Row], base_rows: Sequence[Row], base_audited: Sequence[Row]) -> dict[str, float]:
    """Return a student's F1 on the pairs that its base did not know.

    Args:
        rows: the student's predictions of the test.
        base_rows: the untouched base's.
        base_audited: the untouched base's answers to the counterfactual questions.

    Returns:
        ``f1_unknown_to_base`` with its interval, and ``unknown_to_base_pairs``: the number of pairs that the base does
        not get right in both orders without passages. Nothing where the base did not answer all pairs without passages.
    """
    bookless = _by_pair(closed_book(base_rows, base_audited))
    if not _by_pair(rows).keys() <= bookless.keys():
        return {}
    unknown = {pair for pair, group in bookless.items() if not _right(group)}
    left = [row for row in rows if row["pair"] in unknown]
    return {**(_f1("f1_unknown_to_base", left) if left else {}), "unknown_to_base_pairs": float(len(unknown))}


def _counterfactual(rows: Sequence[Row], exchanged: Sequence[Row]) -> dict[str, float]:
    before, after = _by_pair(rows), _by_pair(exchanged)
    both = [(before[pair], after[pair]) for pair in before if pair in after]

    def verdict(case: tuple[list[Row], list[Row]]) -> str:
        chosen = [{row["drugs"][row["choice"]] for row in group} for group in case]
        if max(map(len, chosen)) > 1:
            return "position_bias"
        return "name_bias" if chosen[0] == chosen[1] else "evidence_sensitivity"

    def share(name: str) -> dict[str, float]:
        return with_interval(name, both, lambda case: _pairs_disease(case[0]), lambda case: (verdict(case) == name, 1))

    return {**share("evidence_sensitivity"), **share("name_bias"), **share("position_bias")}


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


def _states_answer(row: Row) -> bool:
    return bool(row["answer_stating_passages"])


def _right(group: Sequence[Row]) -> bool:
    return all(row["choice"] == row["correct"] for row in group)


def _pairs_disease(group: Sequence[Row]) -> str:
    return disease_of(group[0])
