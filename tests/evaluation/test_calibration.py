"""Calibration and abstention on simulated models whose truth is known."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import binary_calibration_error

from kedrec.evaluation.calibration import (
    calibration_metrics,
    confidence,
    fit_temperature,
    margin,
    reliability,
    risk_coverage,
)


def asked(margins, diseases=10, position=0.7):
    """Rows of pairs with these margins for the relevant drug, in both orders, of a model that prefers the first."""
    rows = []
    for number, lead in enumerate(margins):
        for swapped in (False, True):
            correct = int(swapped)
            scores = [position, 0.0]
            scores[correct] += float(lead)
            rows.append(
                {
                    "pair": f"Disease::{number % diseases}|good{number}|bad{number}",
                    "scores": scores,
                    "correct": correct,
                    "swapped": swapped,
                }
            )
    return rows


def simulated(pairs, temperature, seed=0, spread=3.0):
    """Margins of a model whose choices are right as often as ``sigmoid(|margin| / temperature)`` says."""
    draw = np.random.default_rng(seed)
    size = np.abs(draw.normal(0, spread, pairs))
    return np.where(draw.random(pairs) < expit(size / temperature), size, -size)


def both(margins, of=calibration_metrics, fitted=None):
    """Metrics on one half, by default with the temperature of the other."""
    half = len(margins) // 2
    temperature = fit_temperature(asked(margins[:half])) if fitted is None else fitted
    return of(asked(margins[half:], diseases=200), temperature)


def test_the_temperature_is_that_of_the_simulation():
    for truth in (0.5, 1.0, 5.0):
        assert fit_temperature(asked(simulated(20_000, truth))) == pytest.approx(truth, rel=0.05)


def test_the_temperature_is_where_the_likelihood_is_greatest():
    margins = simulated(300, 2.0)
    target = np.full(300, 301 / 302)
    found = fit_temperature(asked(margins))

    def nll(temperature):
        scaled = margins / temperature
        return -(target * np.log(expit(scaled)) + (1 - target) * np.log(expit(-scaled))).mean()

    assert nll(found) <= min(nll(found * 1.01), nll(found / 1.01))
    assert nll(found) == pytest.approx(log_loss(np.ones(300), expit(margins / found), labels=[0, 1]), rel=0.1)


def test_a_preference_for_a_position_changes_nothing():
    margins = simulated(200, 1.0)
    found = [calibration_metrics(asked(margins, position=lead), 1.0) for lead in (0.0, 3.0)]
    assert found[0] == pytest.approx(found[1])


def test_a_calibrated_model_has_little_error_that_may_be_chance():
    found = both(simulated(4000, 1.0))
    assert found["temperature"] == pytest.approx(1.0, rel=0.15)
    assert found["ece"] < 0.04
    assert found["ece_low"] == 0


def test_an_overconfident_model_is_caught_and_mended_by_its_temperature():
    margins = 5 * simulated(4000, 1.0)
    before, after = both(margins, fitted=1.0), both(margins)
    assert before["ece"] > 0.12
    assert before["ece_low"] > 0.08
    assert after["temperature"] == pytest.approx(5.0, rel=0.15)
    assert after["ece"] < 0.04
    assert after["brier"] < before["brier"]
    assert after["aurc"] == before["aurc"]


def test_all_right_allows_the_confidence_that_the_number_of_pairs_earns():
    few, many = (fit_temperature(asked([1.0] * pairs)) for pairs in (3, 100))
    assert expit(1 / few) == pytest.approx(4 / 5, abs=1e-3)
    assert expit(1 / many) == pytest.approx(101 / 102, abs=1e-3)


@pytest.mark.parametrize("margins", [[-1.0, -2.0], [0.0, 0.0], [3.0, -1.0, -2.5]])
def test_margins_that_are_for_the_wrong_drug_earn_no_confidence(margins):
    assert fit_temperature(asked(margins)) == 1000
    assert confidence([(3.0, 0.0)], 1000) == pytest.approx(0.5, abs=1e-3)


def test_without_a_pair_in_both_orders_there_is_nothing_to_say():
    half = asked([1.0, -1.0])[::2]
    assert fit_temperature(half) == fit_temperature([]) == 1.0
    assert calibration_metrics(half, 1.0) == {"temperature": 1.0}
    assert [len(part) for part in (*risk_coverage([]), *reliability([], 1.0))] == [0] * 5


def test_of_one_disease_nothing_is_known():
    found = calibration_metrics(asked(simulated(50, 1.0), diseases=1), 1.0)
    assert all((found[f"{name}_low"], found[f"{name}_high"]) == (0, 1) for name in ("ece", "brier", "aurc"))


def test_margin_and_confidence_are_of_drugs_not_of_positions():
    assert margin([(-1.0, -4.0), (-2.0, -1.0)]) == 1.0
    assert confidence([(-1.0, -4.0), (-2.0, -1.0)], 2.0) == confidence([(-4.0, -1.0), (-1.0, -2.0)], 2.0)
    assert confidence([(-1.0, -4.0), (-2.0, -1.0)], 2.0) == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_the_brier_score_equals_scikit_learn():
    margins = simulated(200, 1.0)
    expected = brier_score_loss(np.ones(200), expit(margins / 2), labels=[0, 1])
    assert calibration_metrics(asked(margins), 2.0)["brier"] == pytest.approx(expected)


def test_the_calibration_error_equals_torchmetrics_where_bins_of_equal_width_hold_as_many():
    sure = np.linspace(0.5, 1, 401)[:-1] + 1 / 1600
    right = np.random.default_rng(0).random(400) < 0.8
    margins = np.where(right, 1, -1) * np.log(sure / (1 - sure))
    found = calibration_metrics(asked(margins), 1.0)
    assert found["ece_bins"] == 10
    expected = binary_calibration_error(torch.tensor(sure), torch.tensor(right).int(), n_bins=20)
    assert found["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_bins_are_fewer_where_pairs_are_few_and_equal_confidences_share_one():
    assert [calibration_metrics(asked(simulated(pairs, 1.0)), 1.0)["ece_bins"] for pairs in (5, 65, 2000)] == [1, 3, 10]
    _, right, count = reliability(asked([1.0] * 50 + [-1.0] * 50 + [2.0] * 10), 1.0, bins=5)
    assert count.tolist() == [100, 10]
    assert right.tolist() == [0.5, 1.0]
    assert reliability(asked([1.0] * 30 + [2.0] * 60 + [3.0] * 10), 1.0, bins=2)[2].tolist() == [30, 70]


def test_reliability_of_a_calibrated_model_lies_on_the_diagonal():
    sure, right, count = reliability(asked(simulated(20_000, 1.0)), 1.0)
    assert count.tolist() == [2000] * 10
    assert (np.diff(sure) > 0).all()
    np.testing.assert_allclose(sure, right, atol=0.03)


def test_the_area_is_the_mean_of_the_risks():
    rows = asked([5.0, -4.0, 3.0, 2.0, -1.0])
    coverage, risk = risk_coverage(rows)
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 4, 2 / 5])
    assert calibration_metrics(rows, 1.0)["aurc"] == pytest.approx(risk.mean())
    draws = simulated(500, 3.0)
    assert calibration_metrics(asked(draws), 1.0)["aurc"] == pytest.approx(risk_coverage(asked(draws))[1].mean())


def test_equally_sure_choices_are_equally_risky_whatever_their_order():
    orders = [[2.0, -2.0, -2.0, 2.0, 1.0], [-2.0, 2.0, 1.0, 2.0, -2.0]]
    for margins in orders:
        np.testing.assert_allclose(risk_coverage(asked(margins))[1], [0.5, 0.5, 0.5, 0.5, 0.4])
        assert calibration_metrics(asked(margins), 1.0)["aurc"] == pytest.approx(0.48)


def test_what_differs_by_rounding_alone_is_equally_sure():
    rows = [*asked([0.1], position=0.7), *[{**row, "pair": "a|b|c"} for row in asked([-0.1], position=0.3)]]
    assert risk_coverage(rows)[1].tolist() == [0.5, 0.5]


def test_a_tie_of_the_two_drugs_is_half_wrong():
    assert risk_coverage(asked([0.0, 1.0]))[1].tolist() == [0.0, 0.25]


def test_a_model_that_knows_when_it_is_wrong_has_a_smaller_area():
    margins = simulated(2000, 1.0)
    draw = np.random.default_rng(1)
    blind = np.sign(margins) * np.abs(draw.permutation(margins))  # as often right, its confidence says nothing
    knows, guesses = (calibration_metrics(asked(of, diseases=200), 1.0) for of in (margins, blind))
    wrong = float((margins < 0).mean())
    assert guesses["aurc_low"] < wrong < guesses["aurc_high"]
    assert knows["aurc_high"] < guesses["aurc_low"]


def test_sureness_beyond_what_a_float_can_say_still_ranks():
    # sigmoid(100) and sigmoid(200) are both 1.0.
    assert risk_coverage(asked([-100.0, 200.0]))[1].tolist() == [0.0, 0.5]


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    population = calibration_metrics(asked(simulated(20_000, 3.0)), 1.0)
    held = dict.fromkeys(("ece", "brier", "aurc"), 0)
    for seed in range(100):
        found = calibration_metrics(asked(simulated(100, 3.0, seed=seed + 1), diseases=25), 1.0)
        for name in held:
            held[name] += found[f"{name}_low"] <= population[name] <= found[f"{name}_high"]
    assert 88 <= held["brier"] <= 99
    assert 88 <= held["aurc"] <= 99
    assert held["ece"] >= 95  # those of the calibration error are wider than they need be
