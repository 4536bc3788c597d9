"""Proposals of a sweep: every point of a grid, random points, or points suggested from earlier trials.

A proposal depends only on its number and on the earlier trials: a sweep that was stopped resumes with the trials that
it would have run.
"""

import importlib.util
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kedrec.commands.sweep.parameter_distributions import Parameter
from kedrec.errors import KedrecError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Values = dict[str, Any]  # of each parameter, by its dotted name
Point = dict[str, float]  # of each searched parameter: the share of its distribution, or the number of its choice


@dataclass(frozen=True)
class Known:
    """An earlier trial in a Bayesian search.

    Attributes:
        point: its coordinates.
        value: of the sweep's metric; ``None`` while the trial is running.
    """

    point: Point
    value: float | None


def grid(parameters: Sequence[Parameter]) -> Iterator[Values]:
    """Yield all combinations; the last parameter changes fastest."""
    names = [one.name for one in parameters]
    for chosen in itertools.product(*(one.grid or () for one in parameters)):
        yield dict(zip(names, chosen, strict=True))


def drawn(parameters: Sequence[Parameter], number: int, attempt: int) -> Values:
    """Return a trial's values, drawn at random from the distributions.

    Args:
        parameters: of the sweep.
        number: of the trial.
        attempt: number of the attempt; another one gives other values, if an earlier trial has the same.
    """
    draw = random.Random(f"{number}/{attempt}")
    return {one.name: one.at(draw.random()) for one in parameters}


def check_suggestions() -> None:
    """Check that optuna, which `suggested` needs, is installed.

    Raises:
        KedrecError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise KedrecError("method: bayes needs optuna here; pip install 'kedrec[sweeps]'")


def suggested(
    parameters: Sequence[Parameter],
    goal: Literal["minimize", "maximize"],
    known: Sequence[Known],
    number: int,
    attempt: int,
) -> tuple[Values, Point]:
    """Return the values that the tree-structured Parzen estimator suggests, and their coordinates.

    It models shares of the distributions, and so respects their scales and bounds. The first ten trials are random.

    Args:
        parameters: of the sweep.
        goal: of its metric.
        known: earlier trials, in their order; finite values or none.
        number: of the trial.
        attempt: number of the attempt; another one gives other values.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {one.name: _space(one) for one in parameters if not one.constant}
    # A new sampler for each trial, so that a restart gives the same suggestions.
    sampler = optuna.samplers.TPESampler(seed=random.Random(f"{number}/{attempt}").getrandbits(32))
    study = optuna.create_study(sampler=sampler, direction=goal)
    for one in known:
        state = optuna.trial.TrialState.RUNNING if one.value is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(state=state, value=one.value, params=dict(one.point), distributions=spaces)
        )
    point: Point = dict(study.ask(spaces).params)
    return {one.name: _value(one, point) for one in parameters}, point


def _space(one: Parameter) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return FloatDistribution(0.0, 1.0) if one.choices is None else CategoricalDistribution(range(len(one.choices)))


def _value(one: Parameter, point: Point) -> Any:
    if one.choices is None:
        return one.at(point[one.name])
    return one.choices[0 if one.constant else int(point[one.name])]


def finite(value: float | None) -> bool:
    """Whether a metric is a finite number."""
    return value is not None and math.isfinite(value)
