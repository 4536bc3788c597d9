import math

import numpy as np
import pytest

from kedrec.evaluation.bootstrap import (
    cluster_sums,
    estimated,
    figure,
    interval,
    p_value,
    ratio,
    resampled,
    resampled_interval,
    with_interval,
)


def hits(right, of):
    """The sums of diseases with so many right answers each."""
    return np.stack([right, of], axis=1).astype(float)


def test_the_error_of_a_share_is_that_of_theory():
    draw = np.random.default_rng(0)
    told = estimated(hits(draw.random(500) < 0.3, np.ones(500)))
    assert told.error == pytest.approx(math.sqrt(told.value * (1 - told.value) / 500), rel=0.08)
    assert told.freedom(explained=10) == 499


def test_the_interval_of_many_independent_rows_is_wilsons():
    from scipy.stats import binomtest

    right = np.arange(500) % 10 < 3
    low, high = interval(hits(right, np.ones(500)))
    theirs = binomtest(int(right.sum()), 500).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_all_right_is_not_certain_and_more_diseases_make_it_surer():
    from scipy.stats import t

    found = {diseases: interval(hits(np.full(diseases, 5), np.full(diseases, 5))) for diseases in (2, 13, 100)}
    assert found[13] == pytest.approx((13 / (13 + t.ppf(0.975, 12) ** 2), 1.0))
    assert found[2][0] < found[13][0] < found[100][0] < 1
    none = interval(hits(np.zeros(13), np.full(13, 5)))
    assert none == pytest.approx((0.0, 1 - found[13][0]))
    halves = interval(hits(np.full(13, 2), np.full(13, 4)))
    assert halves[0] < 0.3
    assert halves[1] > 0.7


def test_of_one_disease_nothing_is_known_and_of_none_there_is_nothing():
    one = [("a", 1.0), ("a", 0.0)]
    assert with_interval("x", one, lambda row: row[0], lambda row: (row[1], 1)) == {"x": 0.5, "x_low": 0, "x_high": 1}
    none = with_interval("x", [], lambda row: row, lambda row: (row, 1))
    assert list(none) == ["x", "x_low", "x_high"]
    assert all(map(math.isnan, none.values()))
    assert interval(np.array([[3.0, 1.0]]), bounds=(0.0, math.inf)) == pytest.approx((0.0, math.nan), nan_ok=True)
    assert all(map(math.isnan, interval(np.zeros((4, 2)))))  # no disease has a row that counts


def test_diseases_are_resampled_not_rows():
    rows = [(disease, disease % 2) for disease in range(20) for _ in range(50)]
    wide = with_interval("x", rows, lambda row: row[0], lambda row: (row[1], 1))
    narrow = with_interval("x", enumerate(rows), lambda row: row[0], lambda row: (row[1][1], 1))
    assert wide["x"] == narrow["x"] == 0.5
    assert wide["x_high"] - wide["x_low"] > 5 * (narrow["x_high"] - narrow["x_low"])


def test_few_large_diseases_leave_fewer_degrees_of_freedom():
    alike = hits(np.tile([2, 8], 10), np.full(20, 10))
    uneven = np.concatenate([alike, hits([900, 20], [1000, 100])])
    assert estimated(alike).freedom() == 19
    assert estimated(uneven).freedom() < 5


def test_bounds_stretch_with_the_metric_and_none_are_crossed():
    draw = np.random.default_rng(1)
    share = hits(draw.random(13) * 0.4 + 0.6, np.ones(13))
    percent = share * [100, 1]
    low, high = interval(share)
    assert interval(percent, bounds=(0.0, 100.0)) == pytest.approx((100 * low, 100 * high))
    assert high < 1
    words = interval(hits(draw.lognormal(2, 2, 13), np.ones(13)), bounds=(0.0, math.inf))
    assert words[0] > 0
    free = interval(share - [0.8, 0], bounds=(-math.inf, math.inf))
    told = estimated(share)
    assert sum(free) / 2 == pytest.approx(told.value - 0.8)
    with pytest.raises(ValueError, match="not within its bounds"):
        interval(percent)


def test_neither_the_order_of_diseases_nor_of_rows_matters():
    draw = np.random.default_rng(2)
    rows = [(str(disease), float(draw.random() < 0.7)) for disease in range(13) for _ in range(disease + 1)]
    told = [
        figure("x", cluster_sums([disease for disease, _ in of], [(hit, 1) for _, hit in of]))
        for of in (rows, rows[::-1])
    ]
    assert told[0] == told[1]


def test_p_is_below_a_twentieth_where_the_interval_leaves_the_value_out():
    draw = np.random.default_rng(3)
    seen = set()
    for shift in np.linspace(-0.5, 0.5, 41):
        totals = hits(np.clip(draw.normal(shift, 0.4, 13), -1, 1) * 3, np.full(13, 3))
        low, high = interval(totals, bounds=(-1.0, 1.0))
        p = p_value(totals, ratio, (-1.0, 1.0))
        assert (p < 0.05) == (not low <= 0 <= high)
        seen.add(p < 0.05)
    assert seen == {True, False}
    assert p_value(hits(np.zeros(13), np.ones(13)), ratio, (-1.0, 1.0)) == 1.0
    assert p_value(hits([1], [1]), ratio, (-1.0, 1.0)) == 1.0


def test_of_a_metric_with_a_kink_at_its_bound_quantiles_are_taken():
    def distance(sums):
        return np.abs(ratio(sums) - 0.5)

    totals = hits([3, 1, 2, 4, 0, 2, 2], np.full(7, 4))
    assert figure("x", totals, distance)["x"] == 0
    low, high = interval(totals, distance)
    assert (low, high) == resampled_interval(totals, distance)
    assert low < 0.02
    assert high > 0.15


def test_resamples_are_of_the_same_diseases_each_time():
    counts = resampled(13)
    assert counts.shape == (1000, 13)
    assert (counts.sum(1) == 13).all()
    resampled.cache_clear()
    assert (resampled(13) == counts).all()
    assert (resampled(13, seed=1) != counts).any()
