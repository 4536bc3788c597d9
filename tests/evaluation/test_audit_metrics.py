"""Each audit on a student that must trip it and on a clean one that must not; the students are simulated."""

import math

import pytest

from kedrec.evaluation.audit_metrics import audit_metrics, unknown_to_base
from kedrec.evaluation.choice_metrics import choice_metrics

PAIRS = [f"Disease::{number // 2}|Compound::{number}|Compound::x{number}" for number in range(40)]


def question(number, swapped, audit="", *, passages=("P1", "P2"), stating=()):
    """One question; the relevant drug is ``R``, in the text of the evidence for it."""
    drugs = [f"R{number}", f"X{number}"]
    correct = (number % 2) ^ swapped
    return {
        "pair": PAIRS[number],
        "swapped": swapped,
        "audit": audit,
        "drugs": drugs[::-1] if correct else drugs,
        "correct": correct,
        "passages": [] if audit == "closed_book" else list(passages),
        "answer_stating_passages": list(stating),
        "heuristics": {},
    }


def answered(row, choice):
    return {**row, "choice": choice, "scores": [0.0, 1.0] if choice else [1.0, 0.0]}


def asked(chooses, stated=lambda number: number % 2 == 0):
    """All answers of a student that chooses by ``chooses(row)``: the test, and what was asked again."""
    rows, again = [], []
    for number in range(len(PAIRS)):
        flags = ("P1",) if stated(number) else ()
        for swapped in (False, True):
            row = question(number, swapped, stating=flags)
            rows.append(answered(row, chooses(row)))
            for audit in ("without_stated_answers", "closed_book", "passages_exchanged", "names_masked"):
                if audit != "without_stated_answers" or flags:
                    row = question(number, swapped, audit)
                    again.append(answered(row, chooses(row)))
    return rows, again


def remembers(row):
    """Knows each right drug by heart, unless names are hidden."""
    return row["correct"] if row["audit"] != "names_masked" else 0


def reads(row):
    """Takes the drug that the passages are for; without passages the first."""
    if row["audit"] == "passages_exchanged":
        return 1 - row["correct"]
    return row["correct"] if row["passages"] else 0


def always_first(row):
    return 0


def copies(row):
    """Right only where a passage states the answer."""
    return row["correct"] if row["answer_stating_passages"] else 0


@pytest.fixture(params=[remembers, reads, always_first, copies], ids=lambda one: one.__name__)
def student(request):
    return request.param.__name__, audit_metrics(*asked(request.param))


def test_only_a_student_that_remembers_names_trips_the_blinding(student):
    name, found = student
    assert (found["parametric_knowledge_low"] > 0.1) == (name == "remembers")
    if name in ("reads", "always_first"):
        assert found["parametric_knowledge"] == 0


def test_only_a_student_that_reads_is_sensitive_to_the_evidence(student):
    name, found = student
    expected = {
        "remembers": "name_bias",
        "reads": "evidence_sensitivity",
        "always_first": "position_bias",
        "copies": "position_bias",
    }[name]
    shares = {name: found[name] for name in ("name_bias", "evidence_sensitivity", "position_bias")}
    assert max(shares, key=shares.get) == expected
    assert sum(shares.values()) == pytest.approx(1)
    if name != "copies":
        assert shares[expected] == 1


def test_only_a_student_that_copies_loses_by_the_flagged_passages(student):
    name, found = student
    assert found["answer_stated"] == 0.5
    f1 = choice_metrics(asked(globals()[name])[0])["f1"]
    assert (f1 - found["f1_without_stated_answers"] > 0.2) == (name == "copies")


def test_only_a_student_that_remembers_is_right_with_the_book_closed(student):
    name, found = student
    assert (found["closed_book_consistent_accuracy"] == 1) == (name == "remembers")
    assert (found["f1_without_passages"] == 1) == (name == "remembers")


def test_nothing_flagged_costs_nothing():
    found = audit_metrics(*asked(reads, stated=lambda number: False))
    assert found["answer_stated"] == 0
    assert found["f1_without_stated_answers"] == 1


def test_an_audit_that_was_not_asked_says_nothing():
    rows, again = asked(reads)
    found = audit_metrics(rows, [row for row in again if row["audit"] == "names_masked"])
    assert {"f1_names_masked", "parametric_knowledge", "answer_stated"} <= found.keys()
    assert (
        not {
            "f1_without_stated_answers",
            "f1_without_passages",
            "closed_book_consistent_accuracy",
            "evidence_sensitivity",
        }
        & found.keys()
    )


def test_a_student_without_passages_is_asked_with_the_book_closed_already():
    rows = [
        answered(question(number, swapped, passages=()), question(number, swapped)["correct"])
        for number in range(len(PAIRS))
        for swapped in (False, True)
    ]
    found = audit_metrics(rows, [])
    assert found["closed_book_consistent_accuracy"] == 1
    assert "f1_without_passages" not in found


def test_a_test_that_was_cut_short_is_audited_as_far_as_it_went():
    rows, again = asked(remembers)
    found = audit_metrics(rows[:1], [row for row in again if row["audit"] == "names_masked"][:6])
    assert math.isfinite(found["parametric_knowledge"])
    assert audit_metrics(rows[:4], [])["answer_stated"] == 0.5


def test_pairs_that_the_base_did_not_know_are_a_row_of_their_own():
    def knows_a_quarter(row):
        number = PAIRS.index(row["pair"])
        return row["correct"] if number % 4 == 0 else 0

    def fails_where_the_base_did(row):
        return row["correct"] if PAIRS.index(row["pair"]) % 4 == 0 else 1 - row["correct"]

    base = asked(knows_a_quarter)
    found = unknown_to_base(asked(fails_where_the_base_did)[0], *base)
    assert found["unknown_to_base_pairs"] == 30
    assert found["f1_unknown_to_base"] == 0
    assert unknown_to_base(asked(reads)[0], *base)["f1_unknown_to_base"] == 1


def test_a_base_that_was_asked_other_pairs_says_nothing():
    rows, again = asked(reads)
    assert unknown_to_base(rows, rows[:10], [row for row in again if row["pair"] in PAIRS[:5]]) == {}


def test_a_pair_that_was_asked_in_one_order_alone_is_right_in_no_two():
    rows, again = asked(remembers)
    half = [row for row in again if row["audit"] != "closed_book" or not row["swapped"] or row["pair"] == PAIRS[0]]
    found = audit_metrics(rows, half)
    assert found["closed_book_consistent_accuracy"] == 1.0
    assert found["closed_book_consistent_accuracy_high"] == pytest.approx(1.0)
    only = audit_metrics(rows, [row for row in half if row["pair"] == PAIRS[0]])
    assert found["closed_book_consistent_accuracy_low"] == pytest.approx(
        only["closed_book_consistent_accuracy_low"], nan_ok=True
    )
