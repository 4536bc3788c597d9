"""W&B's forms of a sweep parameter, each as the quantile function of its distribution."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from kedrec.errors import KedrecError, nearest

_Settings = Mapping[str, float]
_EDGE = 1e-6  # distance of a share from 0 and 1, where normal quantiles are infinite; rounding error of a step
_BOUNDS: dict[str, float | None] = {"min": None, "max": None}  # no defaults


@dataclass(frozen=True)
class Parameter:
    """One parameter of a sweep.

    Attributes:
        keys: its name in the file; several if it is nested.
        at: quantile function: the value at a share of the distribution, 0 to 1.
        choices: the values, if they are equally likely and have no order.
        grid: the values of a grid search; ``None`` if a grid cannot use the distribution.
    """

    keys: tuple[str, ...]
    at: Callable[[float], Any]
    choices: tuple[Any, ...] | None = None
    grid: tuple[Any, ...] | None = None

    @property
    def name(self) -> str:
        """The keys joined by dots, as on the command line."""
        return ".".join(self.keys)

    @property
    def constant(self) -> bool:
        """Whether there is only one value."""
        return self.choices is not None and len(self.choices) == 1


def parameter(where: str, keys: tuple[str, ...], spec: Mapping[str, Any]) -> Parameter:
    """Return the parameter that a sweep file describes.

    Args:
        where: file and key, for messages.
        keys: see `Parameter`.
        spec: the file's mapping: ``value``, ``values``, or a distribution.

    Raises:
        KedrecError: the form is not one of W&B's.
    """
    if "value" in spec or "values" in spec:
        return _of_values(where, keys, spec)
    if not spec.keys() & {"distribution", "min", "max"}:
        raise KedrecError(f"{where}: {dict(spec)}; expected value, values, or min and max")
    bounds = [spec.get("min"), spec.get("max")]
    whole = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in bounds)
    name = spec.get("distribution", "int_uniform" if whole else "uniform")
    if name == "int_uniform":
        if not whole:
            raise KedrecError(
                f"{where}: {bounds[0]} to {bounds[1]}; expected whole numbers, or `distribution: uniform`"
            )
        low, high = _numbers(where, spec, _BOUNDS).values()
        grid = tuple(range(int(low), int(high) + 1))
        return Parameter(keys, lambda share: grid[min(int(share * len(grid)), len(grid) - 1)], grid=grid)
    stepped = str(name).startswith("q_")
    if name not in _NAMES:
        raise KedrecError(f"{where}.distribution: {name!r}; expected one of int_uniform, {', '.join(_NAMES)}")
    defaults, value_at = _SHAPES[str(name).removeprefix("q_")]
    numbers = _numbers(where, spec, {**defaults, "q": 1} if stepped else defaults)
    if "log" in name and "min" in numbers and numbers["min"] <= 0:
        raise KedrecError(f"{where}.min: {numbers['min']}; expected a number above 0")
    if stepped and (numbers["q"] <= 0 or _within(_stepped(0.0, numbers), numbers) != _stepped(0.0, numbers)):
        raise KedrecError(f"{where}.q: {numbers['q']}; expected a number above 0 with a multiple between min and max")

    def at(share: float) -> float:
        value = value_at(numbers, share)
        return _stepped(value, numbers) if stepped else _within(float(f"{value:.6g}"), numbers)

    return Parameter(keys, at, grid=_steps(numbers) if name == "q_uniform" else None)


def _of_values(where: str, keys: tuple[str, ...], spec: Mapping[str, Any]) -> Parameter:
    one = "value" in spec
    _check_keys(where, spec, {"value", "distribution"} if one else {"values", "probabilities", "distribution"})
    values = [spec["value"]] if one else spec["values"]
    if not isinstance(values, list) or not values:
        raise KedrecError(f"{where}.values: {values}; expected a list of at least one value")
    if any(_says_null(value) for value in values):
        # W&B's agent writes Python's None, which YAML reads as a string.
        raise KedrecError(f'{where}: null; W&B\'s agent cannot pass it on, write "null", in quotes')
    choices = tuple(values)
    if (shares := spec.get("probabilities")) is None:
        last = len(choices) - 1
        return Parameter(keys, lambda share: choices[min(int(share * len(choices)), last)], choices, choices)
    numeric = isinstance(shares, list) and all(isinstance(share, int | float) and share >= 0 for share in shares)
    if not numeric or len(shares) != len(choices) or not math.isclose(sum(shares), 1):
        raise KedrecError(f"{where}.probabilities: {shares}; expected one for each value, with the sum 1")
    return Parameter(keys, lambda share: _by_probability(choices, shares, share))


def _by_probability(choices: Sequence[Any], probabilities: Sequence[float], share: float) -> Any:
    below = 0.0
    for choice, probability in zip(choices, probabilities, strict=True):
        below += probability
        if share < below:
            return choice
    return [choice for choice, probability in zip(choices, probabilities, strict=True) if probability > 0][-1]


def _says_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_says_null(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_says_null(inner) for inner in value)
    return value is None


def _numbers(where: str, spec: Mapping[str, Any], defaults: Mapping[str, float | None]) -> dict[str, float]:
    """Return the parameters of the distribution, in the order of ``defaults``."""
    _check_keys(where, spec, {*defaults, "distribution"})
    numbers: dict[str, float] = {}
    for name, default in defaults.items():
        number = spec.get(name, default)
        if isinstance(number, bool) or not isinstance(number, int | float):
            hint = "; YAML reads 1e-4 as a string, write 1.0e-4" if isinstance(number, str) else ""
            raise KedrecError(f"{where}.{name}: {number!r}; expected a number{hint}")
        numbers[name] = number
    if "min" in numbers and numbers["min"] >= numbers["max"]:
        raise KedrecError(f"{where}: min {numbers['min']} is not below max {numbers['max']}")
    if numbers.get("sigma", 0) < 0:
        raise KedrecError(f"{where}.sigma: {numbers['sigma']}; expected 0 or more")
    return numbers


def _check_keys(where: str, spec: Mapping[str, Any], known: set[str]) -> None:
    for key in spec:
        if key not in known:
            raise KedrecError(f"{where}.{key}: unknown key{nearest(str(key), known)}; expected {sorted(known)}")


def _within(value: float, numbers: _Settings) -> float:
    return min(max(value, numbers["min"]), numbers["max"]) if "min" in numbers else value


def _stepped(value: float, numbers: _Settings) -> float:
    """Return the nearest multiple of ``q`` within the bounds."""
    step, times = numbers["q"], round(value / numbers["q"])
    if "min" in numbers:
        least, most = math.ceil(numbers["min"] / step - _EDGE), math.floor(numbers["max"] / step + _EDGE)
        times = min(max(times, least), most)
    return times * step if isinstance(step, int) else float(f"{times * step:.12g}")


def _steps(numbers: _Settings) -> tuple[float, ...]:
    """Return the values of a grid from the least in steps of ``q``, below the greatest, as W&B's grid does."""
    least, greatest, step = numbers["min"], numbers["max"], numbers["q"]
    count = math.ceil((greatest - least) / step - _EDGE)
    whole = isinstance(least, int) and isinstance(step, int)
    values = [least + place * step for place in range(count)]
    return tuple(values if whole else [float(f"{value:.12g}") for value in values])


def _log_uniform(numbers: _Settings, share: float) -> float:
    low, high = math.log(numbers["min"]), math.log(numbers["max"])
    return math.exp(low + share * (high - low))


def _normal(numbers: _Settings, share: float) -> float:
    return numbers["mu"] + numbers["sigma"] * NormalDist().inv_cdf(min(max(share, _EDGE), 1 - _EDGE))


_SPREAD: dict[str, float | None] = {"mu": 0.0, "sigma": 1.0}
# W&B's names: the numbers that each takes, with their defaults, and its value at a share.
_SHAPES: dict[str, tuple[dict[str, float | None], Callable[[_Settings, float], float]]] = {
    "uniform": (_BOUNDS, lambda numbers, share: numbers["min"] + share * (numbers["max"] - numbers["min"])),
    "log_uniform_values": (_BOUNDS, _log_uniform),
    "inv_log_uniform_values": (_BOUNDS, _log_uniform),  # a number is log-uniform where its inverse is
    "normal": (_SPREAD, _normal),
    "log_normal": (_SPREAD, lambda numbers, share: math.exp(_normal(numbers, share))),
}
_NAMES = (*_SHAPES, *(f"q_{shape}" for shape in _SHAPES if not shape.startswith("inv_")))
