import math

import numpy as np
import pytest

from kedrec.metrics.bootstrap import bootstrap_interval


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = bootstrap_interval(range(400), lambda rows: float(values[rows].mean()), draws=4000)
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.03)
    assert high == pytest.approx(values.mean() + error, abs=0.03)


def test_rows_of_a_group_are_drawn_together():
    values = np.repeat([0.0, 1.0], 50)
    width = {}
    for name, groups in {"rows": range(100), "groups": values.tolist()}.items():
        low, high = bootstrap_interval(groups, lambda rows: float(values[rows].mean()))
        width[name] = high - low
    assert width["rows"] < 0.25
    assert width["groups"] == 1.0  # two groups: all of one, or all of the other


def test_the_seed_decides():
    def interval(seed):
        values = np.arange(30.0)
        return bootstrap_interval(range(30), lambda rows: float(values[rows].mean()), draws=100, seed=seed)

    assert interval(0) == interval(0) != interval(1)


def test_undefined_draws_are_left_out():
    statistic = lambda rows: 1.0 if 0 in rows else math.nan  # noqa: E731
    assert bootstrap_interval(range(3), statistic) == (1.0, 1.0)
    assert all(map(math.isnan, bootstrap_interval(range(3), lambda _: math.nan)))
