"""Reading a W&B sweep file: its parameters, and the command that W&B's agent would run."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kedrec.commands.sweep.parameter_distributions import Parameter, parameter
from kedrec.config import read_keys
from kedrec.errors import KedrecError, nearest
from kedrec.evaluation.renamed_results import metric_name

METHODS = ("grid", "random", "bayes")
_OWN = ("method", "metric", "parameters", "command", "run_cap", "early_terminate")
_LABELS = ("name", "description", "project", "entity", "program", "kind", "apiVersion")  # W&B's alone
_MACROS = ("env", "interpreter", "args", "args_no_hyphens")  # those that kedrec's command line can take
_EXPECTED = 'expected ["${env}", python, -m, kedrec.fit, experiments/NAME.yaml, "${args_no_hyphens}"]'


@dataclass(frozen=True)
class SweepFile:
    """The content of a sweep file.

    Attributes:
        path: the file.
        method: ``grid``, ``random`` or ``bayes``.
        metric: that compares trials; ``None`` if the file has none.
        goal: whether the least or the greatest value is best.
        parameters: in the order of the file.
        space: the parameters as they are in the file.
        command: words and macros.
        run_cap: largest number of trials, if the file sets it.
        stops_early: whether W&B would stop bad trials early.
    """

    path: Path
    method: Literal["grid", "random", "bayes"]
    metric: str | None
    goal: Literal["minimize", "maximize"]
    parameters: tuple[Parameter, ...]
    space: Mapping[str, Any]
    command: tuple[str, ...]
    run_cap: int | None
    stops_early: bool

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters with more than one value."""
        return tuple(one for one in self.parameters if not one.constant)

    def agent_command(self, values: Mapping[str, Any]) -> list[str]:
        """Return the words that W&B's agent would run.

        Args:
            values: of each parameter, by its dotted name.
        """
        tree: dict[str, Any] = {}
        for one in self.parameters:
            node = tree
            for key in one.keys[:-1]:
                node = node.setdefault(key, {})
            node[one.keys[-1]] = values[one.name]
        flags = [f"{name}={value}" for name, value in tree.items()]
        meaning = {
            "env": ["/usr/bin/env"],
            "interpreter": ["python"],
            "args": [f"--{flag}" for flag in flags],
            "args_no_hyphens": flags,
        }
        words: list[str] = []
        for word in self.command:
            macro = re.fullmatch(r"\$\{(\w+)\}", word)
            words += meaning[macro[1]] if macro else [_with_variables(word)]
        return words

    def fit_arguments(self, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments of ``kedrec.fit`` in that command: the experiment and its overrides."""
        words = self.agent_command(values)
        return words[words.index("kedrec.fit") + 1 :]


def read_sweep(path: str | Path) -> SweepFile:
    """Read and check a sweep file.

    Raises:
        KedrecError: one line with the file, the key and what was expected.
    """
    path = Path(path)
    content = read_keys(path)
    for key in content:
        if key not in _OWN + _LABELS:
            known = f"expected some of {', '.join(_OWN)}"
            raise KedrecError(f"{path}: {key}: unknown key{nearest(str(key), _OWN + _LABELS)}; {known}")
    method = content.get("method")
    if method not in METHODS:
        raise KedrecError(f"{path}: method: {method}; expected one of {', '.join(METHODS)}")
    metric, goal = _metric(path, content.get("metric"))
    if method == "bayes" and metric is None:
        raise KedrecError(f"{path}: metric: missing; bayes needs {{name: validation/..., goal: minimize}}")
    parameters = tuple(_parameters(f"{path}: parameters", content.get("parameters"), ()))
    names = [one.name for one in parameters]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise KedrecError(f"{path}: parameters.{twice}: given twice, nested and with dots")
    if method == "grid":
        for one in parameters:
            if one.grid is None:
                raise KedrecError(
                    f"{path}: parameters.{one.name}: a grid takes value, values, int_uniform or q_uniform"
                )
    run_cap = content.get("run_cap")
    if run_cap is not None and (not isinstance(run_cap, int) or run_cap < 1):
        raise KedrecError(f"{path}: run_cap: {run_cap}; expected a number of trials")
    command = _command(path, content.get("command"))
    space = content["parameters"]
    return SweepFile(path, method, metric, goal, parameters, space, command, run_cap, "early_terminate" in content)


def _metric(path: Path, spec: Any) -> tuple[str | None, Literal["minimize", "maximize"]]:
    if spec is None:
        return None, "minimize"
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise KedrecError(f"{path}: metric: {spec}; expected {{name: test/..., goal: maximize}}")
    for key in spec:
        if key not in ("name", "goal"):
            raise KedrecError(f"{path}: metric.{key}: unknown key{nearest(str(key), ['name', 'goal'])}")
    goal = spec.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise KedrecError(f"{path}: metric.goal: {goal}; expected minimize or maximize")
    name, present = spec["name"], metric_name(spec["name"])
    if name != present:
        raise KedrecError(f"{path}: metric.name: {name}: this metric has a new name; write {present}")
    return name, goal


def _parameters(where: str, specs: Any, above: tuple[str, ...]) -> list[Parameter]:
    if not isinstance(specs, Mapping) or not specs:
        raise KedrecError(f"{where}: {specs}; expected names with values or distributions")
    found: list[Parameter] = []
    for name, spec in specs.items():
        here = f"{where}.{name}"
        if not re.fullmatch(r"[A-Za-z_][\w.]*", str(name)):
            raise KedrecError(f"{here}: expected a key of an experiment, such as model.init_args.learning_rate")
        if not isinstance(spec, Mapping):
            raise KedrecError(f"{here}: {spec}; expected {{value: {spec}}}, or values, or a distribution")
        keys = (*above, str(name))
        if "parameters" not in spec:
            found.append(parameter(here, keys, spec))
        elif len(spec) == 1:
            found += _parameters(f"{here}.parameters", spec["parameters"], keys)
        else:
            raise KedrecError(f"{here}: parameters stand alone; found {', '.join(map(str, spec))}")
    return found


def _command(path: Path, words: Any) -> tuple[str, ...]:
    if not isinstance(words, list):
        raise KedrecError(f"{path}: command: {words}; {_EXPECTED}")
    command = tuple(map(str, words))
    for word in command:
        macro = re.fullmatch(r"\$\{(\w+)\}", word)
        if macro and macro[1] not in _MACROS:
            raise KedrecError(f"{path}: command: {word}: expected one of {', '.join(_MACROS)}")
    takes = "${args}" in command or "${args_no_hyphens}" in command
    place = command.index("kedrec.fit") if "kedrec.fit" in command else 0
    if not takes or not place or command[place - 1] != "-m" or not command[place + 1].endswith(".yaml"):
        raise KedrecError(f"{path}: command: {' '.join(command)}; {_EXPECTED}")
    return command


def _with_variables(word: str) -> str:
    """Replace ``${envvar:NAME}`` by the environment variable; like W&B, by the name of a variable that is not set."""
    return re.sub(r"\$\{envvar:([A-Z0-9_]*)\}", lambda found: os.environ.get(found[1], found[1]), word)
