"""Metrics of drug sets, by numbers worked out by hand."""

import numpy as np
import pytest

from kedrec.mimic.drug_set_metrics import (
    DrugSets,
    average_precision,
    drug_set_metrics,
    f1,
    heuristic_metrics,
    jaccard,
    last_visit,
    most_frequent,
    prescribed_metrics,
)

INTERACTIONS = np.zeros((4, 4), bool)
INTERACTIONS[0, 1] = INTERACTIONS[1, 0] = INTERACTIONS[1, 2] = INTERACTIONS[2, 1] = True


def sets(chosen, true, patient=None, outside=None, scores=None):
    return DrugSets(
        np.array(range(len(true)) if patient is None else patient),
        np.array(chosen, bool),
        np.array(true, bool),
        np.array(outside or [0] * len(true)),
        None if scores is None else np.array(scores, float),
    )


def test_sets_are_compared_and_what_no_label_stands_for_is_missed():
    given = sets([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], [[1, 0, 1, 0]] * 3, outside=[0, 2, 0])
    assert jaccard(given).tolist() == pytest.approx([1 / 3, 1 / 5, 0])
    assert f1(given).tolist() == pytest.approx([2 / 4, 2 / 6, 0])


def test_average_precision_is_exact_and_does_not_settle_ties_by_place():
    scores = [[0.9, 0.8, 0.7, 0.1], [0.5, 0.5, 0.5, 0.5], [0.9, 0.8, 0.7, 0.1]]
    given = sets(np.zeros((3, 4)), [[1, 0, 1, 0]] * 3, outside=[0, 0, 2], scores=scores)
    first = (1 + 2 / 3) / 2
    assert average_precision(given).tolist() == pytest.approx([first, 0.5, first / 2])
    import torch
    from torchmetrics.functional.classification import binary_average_precision

    draw = np.random.default_rng(0)
    scores, true = draw.integers(0, 9, (20, 30)) / 8, draw.random((20, 30)) < 0.3
    own = average_precision(sets(true, true, scores=scores))
    for row in range(20):
        theirs = binary_average_precision(torch.from_numpy(scores[row]), torch.from_numpy(true[row]).long())
        assert own[row] == pytest.approx(float(theirs))


def test_patients_count_alike_and_pairs_and_sizes_over_all_visits():
    chosen = [[1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]]
    true = [[1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    given = sets(chosen, true, patient=[5, 5, 9])
    metrics = drug_set_metrics(given, INTERACTIONS)
    assert metrics["jaccard"] == pytest.approx(((1 + 0) / 2 + 2 / 3) / 2)
    assert metrics["ddi_rate"] == pytest.approx((2 + 0 + 1) / (3 + 0 + 3))
    assert metrics["drugs"] == pytest.approx(7 / 3)
    assert metrics.keys() == {"jaccard", "f1", "ddi_rate", "drugs"}
    assert prescribed_metrics(given, INTERACTIONS) == pytest.approx(
        {"prescribed_drugs": 2, "prescribed_ddi_rate": (2 + 1) / (3 + 1)}
    )


def test_intervals_are_over_patients_and_need_some():
    """Twenty patients, each right at all of ten visits or at none: the visits of one say nothing new."""
    right = np.repeat(np.arange(20) % 2 == 0, 10)
    chosen = np.where(right[:, None], [[1, 0, 0, 0]], [[0, 1, 0, 0]])
    given = sets(chosen, [[1, 0, 0, 0]] * 200, patient=np.repeat(np.arange(20), 10))
    metrics = drug_set_metrics(given, None)
    assert metrics["jaccard"] == 0.5
    assert metrics["jaccard_low"] == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 20), abs=0.06)
    assert metrics["jaccard_high"] == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 20), abs=0.06)
    assert not [name for name in drug_set_metrics(given.at(given.patient < 4), None) if name.endswith("_low")]


def test_what_is_not_known_or_not_there_is_not_zero():
    given = sets([[1, 0, 0, 0]], [[1, 0, 0, 0]])
    assert not [name for name in drug_set_metrics(given, None) if name.startswith("ddi")]
    assert "ddi_rate" not in drug_set_metrics(given, INTERACTIONS)
    assert prescribed_metrics(sets([[1, 0, 0, 0]], [[1, 0, 0, 0]], outside=[2]), None) == {"prescribed_drugs": 3}


def test_the_baseline_recommends_the_most_frequent_of_training():
    given = sets(np.zeros((2, 4)), [[1, 0, 0, 0]] * 2)
    baseline = most_frequent(given, np.array([0.1, 0.9, 0.2, 0.8]), 2.4)
    assert baseline.chosen.tolist() == [[False, True, False, True]] * 2
    assert average_precision(baseline).tolist() == [1 / 4] * 2


def test_the_last_visit_is_the_same_patients():
    true = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0]]
    baseline, later = last_visit(sets(true, true, patient=[3, 3, 7, 8, 8]))
    assert later.tolist() == [False, True, False, False, True]
    assert baseline.chosen.tolist() == true[[0, 3]].tolist()
    assert baseline.true.tolist() == true[[1, 4]].tolist()


def test_baselines_are_compared_at_the_visits_that_they_cover():
    chosen = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    true = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    given = sets(chosen, true, patient=[0, 0, 1], scores=chosen)
    found = heuristic_metrics(given, np.array([0.5, 0.0, 0.0, 0.0]), 1.0, None)
    assert found["heuristic_last_visit"] == 0
    assert found["heuristic_last_visit/visits"] == 1
    assert found["jaccard_over_last_visit"] == pytest.approx(1 / 2)
    assert found["heuristic_most_frequent/jaccard"] == found["heuristic_most_frequent"] == pytest.approx(1 / 4)
    assert found["jaccard_over_most_frequent"] == pytest.approx((1 + 1 / 2) / 4 - 1 / 4)
    assert not [
        name
        for name in heuristic_metrics(given.at(np.array([True, False, True])), np.ones(4), 1, None)
        if "last" in name
    ]
