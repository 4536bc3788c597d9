"""Composes the settings of an experiment: ``configs/<group>/<name>.yaml`` < experiment file < command line.

`kedrec.training.experiment_objects` checks them against the constructors, which are the only schema and the only home
of defaults, and builds the objects.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kedrec.errors import KedrecError, nearest
from kedrec.renamed_settings import check_names
from kedrec.storage.hashing import key_hash

GROUPS = ("model", "data", "trainer", "logger")
SETTABLE = ("use", *GROUPS, "case", "seed", "out")
# Known only after composition; other values can refer to them.
DERIVED = {"run_dir": "(run folder)", "run_id": "(run id)"}

# `${sample:FILE}` is a file of the embedded sample data, wherever the package lies.
_SAMPLE = Path(__file__).parent / "sample"
OmegaConf.register_resolver("sample", lambda name: str(_SAMPLE / name), replace=True)


@dataclass(frozen=True)
class Experiment:
    """A composed experiment.

    Attributes:
        name: stem of the experiment file.
        run_dir: the run folder; ``out`` if set, else ``runs/<name>/<id>``.
        run_id: hash of the portable settings: the same command finds the same run again, wherever the package lies.
        tree: the resolved settings.
        layers: (origin, settings) from weakest to strongest, to name the origin of an error.
        overrides: of the command line, ``key=value``; empty for the settings of a finished run.
    """

    name: str
    run_dir: Path
    run_id: str
    tree: dict[str, Any]
    layers: tuple[tuple[str, DictConfig], ...]
    overrides: tuple[str, ...] = ()

    @property
    def portable(self) -> dict[str, Any]:
        """The resolved settings, with files of the embedded sample data as ``${sample:FILE}``."""
        found: dict[str, Any] = _portable(self.tree)
        return found

    def yaml(self) -> str:
        """Return the portable settings as YAML."""
        return yaml.safe_dump(self.portable, sort_keys=False, allow_unicode=True)

    def origin(self, key: str) -> str:
        """Return the file, or "command line", that set ``key`` last; for an absent key, that of its nearest parent."""
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            for name, layer in reversed(self.layers):
                if _has(layer, parts[:length]):
                    return name
        return self.layers[0][0]


def compose(experiment: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Compose an experiment file with the groups that it uses and the command line.

    Args:
        experiment: a YAML file; its groups are in the ``configs`` folder beside or above it.
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
    run_id = key_hash(_portable(tree))[:10]
    run_dir = Path(out) if out else Path("runs") / path.stem / run_id
    merged["run_dir"], merged["run_id"] = str(run_dir), run_id
    tree = _resolve(path, merged)
    tree.pop("out", None)
    given = tuple(item.removeprefix("--") for item in overrides)
    composed = Experiment(path.stem, run_dir, run_id, tree, tuple(layers), given)
    check_names(tree, composed.origin)
    return composed


def read_keys(path: Path) -> dict[Any, Any]:
    """Return the keys and values of a YAML file.

    Raises:
        KedrecError: the file is missing (names the nearest), or holds no keys and values.
    """
    if not path.is_file():
        others = [other.name for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise KedrecError(f"{path}: no such file{nearest(path.name, others)}")
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
    """Refuse top-level keys that are neither reserved nor plain values to which other values refer."""
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


def _portable(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: _portable(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_portable(value) for value in node]
    if isinstance(node, str) and Path(node).is_relative_to(_SAMPLE) and Path(node) != _SAMPLE:
        return f"${{sample:{Path(node).relative_to(_SAMPLE)}}}"
    return node


def _has(layer: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(layer, DictConfig) or part not in layer:
            return False
        layer = layer._get_node(part)
    return True


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0]
