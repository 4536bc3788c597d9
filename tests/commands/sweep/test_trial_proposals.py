"""What a search tries next."""

import math

import pytest

from kedrec.commands.sweep.parameter_distributions import parameter
from kedrec.commands.sweep.trial_proposals import Known, drawn, grid, suggested

PARAMETERS = [
    parameter("x", ("rate",), {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1}),
    parameter("x", ("rank",), {"values": [4, 8, 16]}),
    parameter("x", ("logger",), {"value": "csv"}),
]


def loss(values):
    """Least at a rate of .01 and a rank of 8."""
    return (math.log10(values["rate"]) + 2) ** 2 + (0 if values["rank"] == 8 else 0.5)


def searched(trials, goal="minimize"):
    sign = 1 if goal == "minimize" else -1
    known, tried = [], []
    for number in range(trials):
        values, point = suggested(PARAMETERS, goal, known, number, 0)
        tried.append(values)
        known.append(Known(point, sign * loss(values)))
    return known, tried


def test_a_grid_is_every_combination_once():
    small = [parameter("x", ("a",), {"values": [1, 2]}), parameter("x", ("b",), {"min": 0, "max": 1})]
    assert list(grid(small)) == [{"a": 1, "b": 0}, {"a": 1, "b": 1}, {"a": 2, "b": 0}, {"a": 2, "b": 1}]


def test_draws_depend_on_number_and_attempt_alone():
    assert drawn(PARAMETERS, 3, 0) == drawn(PARAMETERS, 3, 0)
    rates = {drawn(PARAMETERS, number, attempt)["rate"] for number in range(20) for attempt in range(2)}
    assert len(rates) == 40
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_suggestions_come_near_the_best_and_keep_to_the_bounds(goal):
    _, tried = searched(40, goal)
    assert all(1e-4 <= values["rate"] <= 1e-1 and values["rank"] in (4, 8, 16) for values in tried)
    assert all(values["logger"] == "csv" for values in tried)
    late = tried[-15:]
    assert sum(loss(values) for values in late) / 15 < sum(loss(values) for values in tried[:10]) / 10 / 2
    assert min(loss(values) for values in tried) < 0.02


def test_the_same_history_gives_the_same_suggestion_whatever_was_suggested_before():
    known, tried = searched(14)
    afresh = suggested(PARAMETERS, "minimize", known[:13], 13, 0)
    assert afresh[0] == tried[13]
    assert suggested(PARAMETERS, "minimize", known[:13], 13, 1)[0] != tried[13]
    other = [Known(one.point, -one.value) for one in known[:13]]
    assert suggested(PARAMETERS, "minimize", other, 13, 0)[0] != tried[13]


def test_trials_at_work_are_kept_away_from():
    known, _ = searched(14)
    first, point = suggested(PARAMETERS, "minimize", known, 14, 0)
    second, _ = suggested(PARAMETERS, "minimize", [*known, Known(point, None)], 15, 0)
    assert second["rate"] != first["rate"]
