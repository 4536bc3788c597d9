"""Builds the objects of an experiment: its settings are checked against the type hints of the constructors."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from kedrec.config import GROUPS, Experiment
from kedrec.errors import KedrecError, nearest

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from kedrec.training.base_classes import ExperimentData, TrainableModule


@dataclass(frozen=True)
class Built:
    """The objects of an experiment; the trainer's arguments are completed by ``fit``."""

    model: "TrainableModule"
    data: "ExperimentData"
    logger: "Logger"
    trainer: dict[str, Any]


def build(experiment: Experiment) -> Built:
    """Check the settings against the constructors' type hints and build the objects.

    Raises:
        KedrecError: one line with the file, the key and what was expected.
    """
    from jsonargparse import ArgumentError, ArgumentParser
    from lightning import LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger

    from kedrec.training.base_classes import ExperimentData, TrainableModule

    for group in GROUPS:
        if group not in experiment.tree:
            where = experiment.layers[-2][0]
            raise KedrecError(f"{where}: {group}: missing; name one by `use: {{{group}: NAME}}`")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model", required=True)
    parser.add_subclass_arguments(LightningDataModule, "data", required=True)
    parser.add_subclass_arguments(Logger, "logger", required=True)
    parser.add_class_arguments(Trainer, "trainer", instantiate=False, skip={"logger"})
    try:
        typed = parser.parse_object({group: experiment.tree[group] for group in GROUPS})
    except ArgumentError as fault:
        raise _explain(experiment, str(fault)) from fault
    try:
        objects = parser.instantiate(typed)
    except ValueError as fault:  # jsonargparse wraps what a constructor raises
        own = [one for one in _handled(fault) if isinstance(one, KedrecError)]
        raise own[0] if own else fault from None
    _check_base_class(experiment, "model", objects.model, TrainableModule)
    _check_base_class(experiment, "data", objects.data, ExperimentData)
    return Built(objects.model, objects.data, objects.logger, dict(vars(objects.trainer)))


def _check_base_class(experiment: Experiment, group: str, built: object, base: type) -> None:
    if not isinstance(built, base):
        key, kind = f"{group}.class_path", type(built)
        raise KedrecError(
            f"{experiment.origin(key)}: {key}: {kind.__module__}.{kind.__qualname__} does not derive from "
            f"{base.__module__}.{base.__qualname__}; make that its base class"
        )


def _handled(fault: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised in handling of."""
    one: BaseException | None = fault
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def _explain(experiment: Experiment, message: str) -> KedrecError:
    """Reduce jsonargparse's nested report to the key, what was expected, and the nearest known name."""
    node: Any = experiment.tree
    path: list[str] = []
    for part in re.findall(r"Parser key \"([\w.]+)\"", message):
        node = _descend(node, path, part)
    if found := re.search(r"(?:Group '([\w.]+)' does not accept option|Option) '([\w.]+)'", message):
        group, option = found.group(1), found.group(2)
        if group:
            _descend(node, path, group)
        return _unknown_key(experiment, path, option.split("."))
    key = ".".join(path)
    if found := re.search(r"given class_path '[\w.]+':\s+(.*(?:no attribute|No module|import).*)", message):
        return KedrecError(f"{experiment.origin(key + '.class_path')}: {key}.class_path: {found.group(1)}")
    if found := re.search(r"arguments are required: (.+)", message):
        return KedrecError(f"{experiment.origin(key)}: {key}.init_args: missing {found.group(1)}")
    if refused := re.findall(r"Import path ([\w.]+) does not correspond to a subclass of (\w+)", message):
        class_path, bases = refused[0][0], list(dict.fromkeys(base for _, base in refused))
        if f"given class_path '{class_path}'" not in message:  # else it has a fault of its own
            kinds = " or ".join(bases)
            return KedrecError(f"{experiment.origin(key)}: {key}: {class_path}; expected a subclass of {kinds}")
    lines = [line.strip(" -\n") for line in message.splitlines()]
    expected = [line for line in lines if line.startswith("Expected") and not re.search("NoneType|a path but", line)]
    expected = expected or lines[1:2] or lines
    reason = re.sub(r"<class '([\w.]+)'>", r"\1", expected[0])
    return KedrecError(f"{experiment.origin(key)}: {key}: {reason[0].lower()}{reason[1:]}")


def _descend(node: Any, path: list[str], part: str) -> Any:
    """Extend ``path`` by ``part``, through ``init_args`` where the node is an object's; return the node there."""
    for name in (*(["init_args"] if isinstance(node, Mapping) and "class_path" in node else []), *part.split(".")):
        path.append(name)
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _unknown_key(experiment: Experiment, path: list[str], names: Sequence[str]) -> KedrecError:
    """Return the error of the first of nested ``names`` that the section at ``path`` does not accept."""
    node: Any = experiment.tree
    for part in path:
        node = node[part]
    for name in names:
        accepted = _accepted(experiment.tree, path)
        node = _descend(node, path, name)
        if name not in accepted:
            break
    key = ".".join(path)
    return KedrecError(f"{experiment.origin(key)}: {key}: unknown key{nearest(path[-1], accepted)}")


def _accepted(tree: Mapping[str, Any], path: Sequence[str]) -> list[str]:
    """Return the keys that the section at ``path`` accepts: arguments of its class, or fields of its dataclass."""
    from importlib import import_module

    from lightning import Trainer

    node: Any = tree
    kind: Any = None
    for name in path:
        node = node[name]
        if isinstance(node, Mapping) and "class_path" in node:
            module, _, class_name = node["class_path"].rpartition(".")
            kind = getattr(import_module(module), class_name)
        elif name == "trainer":
            kind = Trainer
        elif name != "init_args":
            kind = _dataclass_of(get_type_hints(kind.__init__).get(name))
    return [] if kind is None else list(inspect.signature(kind).parameters)


def _dataclass_of(hint: Any) -> Any:
    """Return the dataclass of a type hint, or the one among the types of a union; ``None`` without one."""
    return next((kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)), None)
