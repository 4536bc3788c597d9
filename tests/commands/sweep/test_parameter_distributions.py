"""The forms of a sweep's parameter."""

import math
import statistics

import pytest

from kedrec.commands.sweep.parameter_distributions import parameter
from kedrec.errors import KedrecError

SHARES = [number / 400 for number in range(401)]


def one(**spec):
    return parameter("file.yaml: parameters.x", ("x",), spec)


def values(**spec):
    return [one(**spec).at(share) for share in SHARES]


def test_values_are_equally_likely_and_make_a_grid():
    assert one(values=["a", [], {"b": 1}]).grid == ("a", [], {"b": 1})
    drawn = values(values=["a", "b"])
    assert abs(drawn.count("a") - drawn.count("b")) <= 1
    assert one(value=3).constant
    assert not one(values=[3, 4]).constant


def test_probabilities_are_shares_of_the_draws():
    drawn = values(values=["a", "b", "never", "c"], probabilities=[0.5, 0.25, 0, 0.25])
    assert [round(drawn.count(value) / len(drawn), 2) for value in ("a", "b", "never", "c")] == [0.5, 0.25, 0, 0.25]
    assert one(values=["a", "b"], probabilities=[1, 0]).at(1.0) == "a"
    assert one(values=[1, 2], probabilities=[0.5, 0.5]).grid is None


def test_whole_bounds_mean_whole_numbers():
    drawn = values(min=2, max=5)
    assert set(drawn) == {2, 3, 4, 5}
    assert all(isinstance(value, int) for value in drawn)
    assert one(min=2, max=5).grid == (2, 3, 4, 5)
    assert min(values(min=2, max=5.5)) == 2
    assert statistics.mean(values(min=2, max=5, distribution="uniform")) == pytest.approx(3.5, abs=1e-3)


def test_log_uniform_values_keep_to_their_bounds_and_to_the_scale():
    drawn = values(distribution="log_uniform_values", min=1e-4, max=1e-1)
    assert min(drawn) == 1e-4
    assert max(drawn) == 1e-1
    assert drawn == sorted(drawn)
    assert statistics.median(drawn) == pytest.approx(math.sqrt(1e-4 * 1e-1), rel=1e-3)
    assert drawn == values(distribution="inv_log_uniform_values", min=1e-4, max=1e-1)


def test_normal_distributions_have_their_mean_and_spread():
    drawn = values(distribution="normal", mu=3, sigma=2)[1:-1]
    assert statistics.mean(drawn) == pytest.approx(3, abs=0.01)
    assert statistics.stdev(drawn) == pytest.approx(2, rel=0.05)
    assert one(distribution="log_normal", mu=1).at(0.5) == pytest.approx(math.e, rel=1e-4)
    assert all(map(math.isfinite, values(distribution="normal")))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, {0.0, 0.25, 0.5, 0.75, 1.0}),
        ({"distribution": "q_uniform", "min": 3, "max": 10, "q": 4}, {4, 8}),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 4}, {1, 2, 3, 4}),
        ({"distribution": "q_normal", "sigma": 0.2, "q": 1}, {-1, 0, 1}),
    ],
)
def test_steps_are_multiples_within_the_bounds(spec, expected):
    drawn = values(**spec)
    assert set(drawn) == expected
    assert all(isinstance(value, type(next(iter(expected)))) for value in drawn)


def test_a_grid_of_steps_is_that_of_wandb():
    assert one(distribution="q_uniform", min=0, max=1, q=0.25).grid == (0.0, 0.25, 0.5, 0.75)
    assert one(distribution="q_uniform", min=0.1, max=0.35, q=0.1).grid == (0.1, 0.2, 0.3)
    assert one(distribution="q_uniform", min=1, max=6, q=2).grid == (1, 3, 5)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "expected value, values, or min and max"),
        ({"values": []}, "x.values: []"),
        ({"values": [1], "probability": [1]}, "did you mean 'probabilities'"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "with the sum 1"),
        ({"values": ["a", None]}, 'write "null"'),
        ({"value": {"deep": [None]}}, 'write "null"'),
        ({"min": 1, "max": 1}, "min 1 is not below max 1"),
        ({"min": 0, "max": 1, "distribution": "log_uniform_values"}, "x.min: 0; expected a number above 0"),
        ({"min": "1e-4", "max": 0.1, "distribution": "log_uniform_values"}, "write 1.0e-4"),
        ({"min": 0.5, "max": 2, "distribution": "int_uniform"}, "whole numbers"),
        (
            {"min": 0.1, "max": 1, "distribution": "log_uniform"},
            "x.distribution: 'log_uniform'; expected one of int_uniform, uniform, log_uniform_values",
        ),
        ({"min": 0.1, "max": 1, "step": 2}, "x.step: unknown key"),
        ({"distribution": "normal", "sigma": -1}, "x.sigma: -1"),
        ({"distribution": "q_uniform", "min": 0.1, "max": 0.2}, "x.q: 1"),
        ({"distribution": "q_normal", "q": 0}, "x.q: 0"),
    ],
)
def test_what_is_none_of_them_is_one_line_that_names_the_key(spec, words):
    with pytest.raises(KedrecError) as fault:
        one(**spec)
    assert str(fault.value).startswith("file.yaml: parameters.x")
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)
