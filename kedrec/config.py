"""Experiment YAML to typed objects.

OmegaConf composes ``configs/<group>/<name>.yaml`` < experiment < command line; jsonargparse checks the result against
the constructors and builds the objects. The constructors are the only schema and the only home of defaults.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kedrec.errors import KedrecError, nearest
from kedrec.renamed_settings import check_names
from kedrec.storage.hashing import key_hash

if TYPE_CHECKING:
    from lightning import LightningDataModule, LightningModule
    from lightning.pytorch.loggers import Logger

GROUPS = ("model", "data", "trainer", "logger")
SETTABLE = ("use", *GROUPS, "case", "seed", "out")
# Known only once the settings are: where the run is kept and what it is called. For interpolation.
DERIVED = {"run_dir": "(run folder)", "run_id": "(run id)"}

# `${sample:FILE}` is a file of the embedded sample data, wherever the package lies.
OmegaConf.register_resolver("sample", lambda name: str(Path(__file__).parent / "sample" / name), replace=True)


@dataclass(frozen=True)
class Experiment:
    """A composed experiment.

    Attributes:
        name: the experiment file's stem.
        run_dir: where the run is kept; ``out`` if given, else ``runs/<name>/<id>``.
        run_id: hash of the resolved settings: the same command finds the same run again.
        tree: the resolved settings.
        layers: (origin, settings) from weakest to strongest, to name the origin of a fault.
        overrides: what the command line set, ``key=value``; nothing where the settings are read back from a run.
    """

    name: str
    run_dir: Path
    run_id: str
    tree: dict[str, Any]
    layers: tuple[tuple[str, DictConfig], ...]
    overrides: tuple[str, ...] = ()

    def yaml(self) -> str:
        """Return the resolved settings as YAML."""
        return yaml.safe_dump(self.tree, sort_keys=False, allow_unicode=True)

    def origin(self, key: str) -> str:
        """Return the file (or "command line") that set ``key`` last; of an absent key, that of its nearest parent."""
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            for name, layer in reversed(self.layers):
                if _has(layer, parts[:length]):
                    return name
        return self.layers[0][0]


@dataclass(frozen=True)
class Built:
    """The objects of an experiment; the trainer's arguments are completed by ``fit``."""

    model: "LightningModule"
    data: "LightningDataModule"
    logger: "Logger"
    trainer: dict[str, Any]


def compose(experiment: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Compose an experiment file with the groups that it uses and the command line.

    Args:
        experiment: a YAML file; its groups are looked for in the ``configs`` folder beside or above it.
        overrides: ``a.b=1`` or ``--a.b=1``; ``use.trainer=NAME`` swaps a whole group.

    Raises:
        KedrecError: one line with the file, the key and what was expected.
    """
    path = Path(experiment)
    own = _read(path)
    line = _command_line(overrides)
    layers: list[tuple[str, DictConfig]] = [("defaults", OmegaConf.create({"seed": 0, **DERIVED}))]
    layers += _groups(path, OmegaConf.merge(own.get("use") or {}, line.get("use") or {}))
    layers += [(str(path), own), ("command line", line)]
    _check_top_level(str(path), own, line, layers)
    merged = OmegaConf.create({})
    for origin, layer in layers:
        try:
            merged.merge_with(layer)
        except OmegaConfBaseException as fault:
            raise KedrecError(f"{origin}: {fault.full_key}: {_first_line(fault)}") from fault
    merged.pop("use", None)
    tree = _resolve(path, merged)
    out = tree.pop("out", None)
    run_id = key_hash(tree)[:10]
    run_dir = Path(out) if out else Path("runs") / path.stem / run_id
    merged["run_dir"], merged["run_id"] = str(run_dir), run_id
    tree = _resolve(path, merged)
    tree.pop("out", None)
    given = tuple(item.removeprefix("--") for item in overrides)
    composed = Experiment(path.stem, run_dir, run_id, tree, tuple(layers), given)
    check_names(tree, composed.origin)
    return composed


def build(experiment: Experiment) -> Built:
    """Check the settings against the constructors' type hints and build the objects.

    Raises:
        KedrecError: one line with the file, the key and what was expected.
    """
    from jsonargparse import ArgumentError, ArgumentParser
    from lightning import LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger

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
    return Built(objects.model, objects.data, objects.logger, dict(vars(objects.trainer)))


def read_keys(path: Path) -> dict[Any, Any]:
    """Return the keys and values of a YAML file.

    Raises:
        KedrecError: it is not there (names the nearest), or holds something else.
    """
    if not path.is_file():
        found = [other.name for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise KedrecError(f"{path}: no such file{nearest(path.name, found)}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise KedrecError(f"{path}: not valid YAML: {' '.join(str(fault).split())}") from fault
    if not isinstance(content, dict):
        raise KedrecError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def _read(path: Path) -> DictConfig:
    return OmegaConf.create(read_keys(path))


def _command_line(overrides: Sequence[str]) -> DictConfig:
    for item in overrides:
        if not re.match(r"(--)?[\w.]+=", item):
            raise KedrecError(f"command line: {item!r}: expected key=value, for example seed=1 or use.logger=wandb")
    try:
        return OmegaConf.from_dotlist([item.removeprefix("--") for item in overrides])
    except (OmegaConfBaseException, yaml.YAMLError) as fault:
        raise KedrecError(f"command line: {_first_line(fault)}") from fault


def _groups(path: Path, use: Any) -> list[tuple[str, DictConfig]]:
    folder = next(
        (base / "configs" for base in (*path.resolve().parents, Path.cwd()) if (base / "configs").is_dir()),
        Path(__file__).parents[1] / "configs",
    )
    layers = []
    for group, name in use.items():
        if group not in GROUPS:
            raise KedrecError(f"{path}: use.{group}: no such group; expected one of {', '.join(GROUPS)}")
        file = folder / group / f"{name}.yaml"
        if not file.is_file():
            known = sorted(other.stem for other in (folder / group).glob("*.yaml"))
            raise KedrecError(
                f"{path}: use.{group}: {file} does not exist{nearest(str(name), known)}; there are {known}"
            )
        layers.append((str(file), OmegaConf.create({group: _read(file)})))
    return layers


def _check_top_level(path: str, own: DictConfig, line: DictConfig, layers: Sequence[tuple[str, DictConfig]]) -> None:
    """Beside the reserved keys an experiment may declare plain values for interpolation; nothing else stands on top."""
    text = "".join(OmegaConf.to_yaml(layer) for _, layer in layers)
    for key in map(str, own):
        if key in SETTABLE:
            continue
        plain = not OmegaConf.is_config(own._get_node(key))
        if not plain or f"${{{key}}}" not in text:
            remedy = nearest(key, SETTABLE) or f"; expected one of {', '.join(SETTABLE)}"
            raise KedrecError(f"{path}: {key}: unknown key, and no other value refers to ${{{key}}}{remedy}")
    for key in map(str, line):
        if key not in SETTABLE and key not in list(own.keys()):
            declared = [*SETTABLE, *map(str, own)]
            raise KedrecError(f"command line: {key}: {path} declares no such key{nearest(key, declared)}")


def _resolve(path: Path, merged: DictConfig) -> dict[str, Any]:
    try:
        for key in sorted(OmegaConf.missing_keys(merged)):
            raise KedrecError(f"{path}: {key}: no value; give {key}=... on the command line")
        tree = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as fault:
        raise KedrecError(f"{path}: {fault.full_key}: {_first_line(fault)}") from fault
    return {str(key): value for key, value in dict(tree).items()}  # type: ignore[arg-type]


def _has(layer: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(layer, DictConfig) or part not in layer:
            return False
        layer = layer._get_node(part)
    return True


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0]


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
    if found := re.search(r"(?:Option '|does not accept option ')([\w.]+)'", message):
        where = path or ["trainer"]
        accepts = _parameters(node if path else {})
        _descend(node, path := list(where), name := found.group(1).rsplit(".", 1)[-1])
        key = ".".join(path)
        return KedrecError(f"{experiment.origin(key)}: {key}: unknown key{nearest(name, accepts)}")
    key = ".".join(path)
    if found := re.search(r"given class_path '[\w.]+':\s+(.*(?:no attribute|No module|import).*)", message):
        return KedrecError(f"{experiment.origin(key + '.class_path')}: {key}.class_path: {found.group(1)}")
    if found := re.search(r"arguments are required: (.+)", message):
        return KedrecError(f"{experiment.origin(key)}: {key}.init_args: missing {found.group(1)}")
    lines = [line.strip(" -\n") for line in message.splitlines()]
    expected = [line for line in lines if line.startswith("Expected") and "NoneType" not in line] or lines[1:2] or lines
    reason = re.sub(r"<class '([\w.]+)'>", r"\1", expected[0])
    return KedrecError(f"{experiment.origin(key)}: {key}: {reason[0].lower()}{reason[1:]}")


def _descend(node: Any, path: list[str], part: str) -> Any:
    """Extend ``path`` by ``part``, through ``init_args`` where the node is an object's; return the node there."""
    for name in (*(["init_args"] if isinstance(node, Mapping) and "class_path" in node else []), *part.split(".")):
        path.append(name)
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _parameters(node: Any) -> list[str]:
    """Return the names that a node's constructor accepts: its class, or the plain section's it must be."""
    import inspect
    from importlib import import_module

    if isinstance(node, Mapping) and "class_path" in node:
        module, _, name = node["class_path"].rpartition(".")
        return list(inspect.signature(getattr(import_module(module), name)).parameters)
    from lightning import Trainer
    from peft import LoraConfig

    return [*inspect.signature(Trainer).parameters, *inspect.signature(LoraConfig).parameters]
