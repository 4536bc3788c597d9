"""Runs compared on what both were asked, on cases whose answer is known."""

import math

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.evaluation.choice_metrics import choice_metrics
from kedrec.evaluation.significance import compare_ranks, compare_students, over_seeds


def student(right, diseases=10, pairs=6, start=0):
    """Predictions of a student that is right where ``right`` of disease, pair and order says so."""
    rows = []
    for disease in range(start, start + diseases):
        for pair in range(pairs):
            for swapped in (False, True):
                correct = (pair + swapped) % 2
                choice = correct if right(disease, pair, swapped) else 1 - correct
                drugs = ("good", "bad") if correct == 0 else ("bad", "good")
                row = {"pair": f"D{disease}|good{pair}|bad", "drugs": drugs, "correct": correct, "choice": choice}
                rows.append({**row, "swapped": swapped, "scores": [0.0, -1.0]})
    return rows


def always(*_):
    return True


def at_random(share, seed):
    draw = np.random.default_rng(seed)
    return lambda *_: draw.random() < share


def test_a_run_is_no_better_than_itself():
    rows = student(at_random(0.7, 0))
    for told in compare_students(rows, rows).values():
        assert (told.difference, told.p, told.mcnemar, told.note) == (0, 1, 1, "")
        assert told.low < 0 < told.high
        assert told.diseases == 10


def test_figures_are_those_of_the_runs():
    one, other = student(at_random(0.9, 0)), student(at_random(0.6, 1))
    found = compare_students(one, other)
    first, second = choice_metrics(one), choice_metrics(other)
    assert found.keys() == {"f1", "accuracy", "consistent_accuracy", "consistent_f1"}
    for name, told in found.items():
        assert (told.first, told.second) == pytest.approx((first[name], second[name]))
        assert told.difference == pytest.approx(first[name] - second[name])
        assert told.low < told.difference < told.high
    assert found["f1"].examples == 120
    assert found["consistent_accuracy"].examples == found["consistent_f1"].examples == 60
    assert found["f1"].p < 0.01
    back = compare_students(other, one)["f1"]
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-found["f1"].difference, -found["f1"].high, -found["f1"].low), abs=0.01
    )


def test_mcnemar_is_exact_and_of_the_examples_on_which_runs_differ():
    """The second is wrong in three questions of two pairs, the first in one that the second gets right."""
    wrong = {(0, 0, False), (0, 0, True), (3, 1, True)}
    one = student(lambda *at: at != (5, 5, False))
    other = student(lambda *at: at not in wrong)
    told = compare_students(one, other)
    assert (told["accuracy"].first_only, told["accuracy"].second_only) == (3, 1)
    assert told["accuracy"].mcnemar == pytest.approx(2 * (1 + 4) / 2**4)
    pairs = told["consistent_accuracy"]
    assert (pairs.first_only, pairs.second_only, pairs.mcnemar) == (2, 1, 1.0)


def test_what_one_disease_decides_is_not_significant_though_mcnemar_says_so():
    """The second run is wrong at one disease of thirteen, at all its thirty pairs: independent to McNemar alone."""
    one, other = (
        student(right, 13, 2) + student(right, 1, 30, 20) for right in (always, lambda disease, *_: disease < 20)
    )
    told = compare_students(one, other)["accuracy"]
    assert told.mcnemar < 1e-6
    assert told.p > 0.05
    assert told.low < 0 < told.high


def test_pairs_that_were_not_asked_of_both_are_left_out_and_told():
    one, other = student(always, 10), student(always, 8, start=5)
    told = compare_students(one, other)
    assert told["f1"].examples == 5 * 12
    assert told["f1"].left_out == (60, 36)
    assert told["consistent_accuracy"].left_out == (30, 18)
    assert told["f1"].note == (
        "not asked the same: 60 examples are common; 60 of the first run's and 36 of the second's are left out"
    )


def test_runs_that_were_asked_nothing_in_common_do_not_compare():
    with pytest.raises(KedrecError, match="not asked the same: of 24 examples of the first and 12 of the second none"):
        compare_students(student(always, 2), student(always, 1, start=5))
    turned = [{**row, "swapped": not row["swapped"]} for row in student(always)]
    with pytest.raises(KedrecError, match=r"not asked the same: the drugs of D0\|good0\|bad stand in another order"):
        compare_students(student(always), turned)
    with pytest.raises(KedrecError, match="none is common"):
        compare_ranks(ranks(lambda *_: 1), [])


def ranks(rank, diseases=20, answers=4, name="pairs"):
    return [
        {
            "set": name,
            "head": f"Compound::{answer}",
            "relation": "treats",
            "tail": f"Disease::{disease}",
            "missing": missing,
            "disease": f"Disease::{disease}",
            "all": 2 * rank(disease, answer, missing),
            "typed": rank(disease, answer, missing),
        }
        for disease in range(diseases)
        for answer in range(answers)
        for missing in ("head", "tail")
    ]


def test_ranks_compare_by_their_inverse_in_each_test_set():
    good = ranks(lambda disease, answer, _: 1 + (disease + answer) % 3)
    bad = ranks(lambda disease, answer, _: 5 + (disease + answer) % 3)
    told = compare_ranks(good + ranks(lambda *_: 2, name="diseases"), bad + ranks(lambda *_: 2, 10, name="diseases"))
    assert told.keys() == {"pairs", "diseases"}
    assert told["pairs"].first == pytest.approx(np.mean([1 / row["typed"] for row in good]))
    assert (told["pairs"].examples, told["pairs"].diseases, told["pairs"].left_out) == (160, 20, (0, 0))
    assert told["pairs"].first_only == 160
    assert told["pairs"].p < 1e-6
    assert (told["diseases"].difference, told["diseases"].left_out) == (0, (80, 0))
    assert compare_ranks(good, bad, "all")["pairs"].first == pytest.approx(told["pairs"].first / 2)


def test_triples_without_a_disease_are_drawn_by_their_tail():
    rows = [{**row, "disease": ""} for row in ranks(lambda disease, *_: 1 + disease)]
    assert compare_ranks(rows, rows)["pairs"].diseases == 20


def test_seeds_have_a_mean_and_a_spread():
    from scipy.stats import ttest_1samp

    values = [0.81, 0.84, 0.79, 0.86]
    told = over_seeds(values)
    theirs = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (told.mean, told.deviation, told.runs) == pytest.approx((np.mean(values), np.std(values, ddof=1), 4))
    assert (told.low, told.high) == pytest.approx((theirs.low, theirs.high))
    alone = over_seeds([0.8])
    assert (alone.mean, alone.runs) == (0.8, 1)
    assert math.isnan(alone.deviation)
    assert math.isnan(alone.low)
