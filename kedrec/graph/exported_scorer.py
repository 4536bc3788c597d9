"""The scorer that a run's embeddings were trained with, by the name that their file records."""

from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from kedrec.errors import KedrecError
from kedrec.graph.scorer import Scorer
from kedrec.graph.scorers import SCORERS


def recorded_name(scorer: Scorer) -> str:
    """Return the name that an embeddings file records: the short name, or the class path of a scorer from outside."""
    for name, known in SCORERS.items():
        if type(scorer) is known:
            return name
    return f"{type(scorer).__module__}.{type(scorer).__qualname__}"


def recorded_scorer(name: str, run: Path) -> Scorer:
    """Return a scorer by its recorded name.

    A class from outside is imported only if the run's own settings name it: an embeddings file alone runs no code.

    Args:
        name: as ``recorded_name`` returns it.
        run: the run's folder, whose ``config.yaml`` names a scorer from outside, with its settings.

    Raises:
        KedrecError: the name is not known and not that of the settings, or the class cannot be imported.
    """
    for short, known in SCORERS.items():
        if short == name:
            return known()
    config = run / "config.yaml"
    settings = _settings(config)
    class_path = settings.get("class_path")
    module, _, class_name = str(class_path).rpartition(".")
    try:
        kind = getattr(import_module(module), class_name) if module else None
    except (ImportError, AttributeError) as fault:
        raise KedrecError(
            f"{config}: model.init_args.scorer: {class_path} cannot be imported ({fault}); install the package that "
            "has it, or add its folder to PYTHONPATH"
        ) from fault
    if not (isinstance(kind, type) and issubclass(kind, Scorer)):
        raise KedrecError(
            f"{run}: the embeddings are those of the scorer {name!r}, which is none of {', '.join(SCORERS)}, and "
            f"{config} names no class of it by model.init_args.scorer"
        )
    scorer = kind(**settings.get("init_args", {}))
    if recorded_name(scorer) != name:
        raise KedrecError(f"{run}: the embeddings are those of the scorer {name!r}, but {config} names {class_path}")
    return scorer


def _settings(config: Path) -> dict[str, Any]:
    """Return ``class_path`` and ``init_args`` of the scorer of a run; nothing where it has a short name or none."""
    tree = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else None
    scorer = (tree or {}).get("model", {}).get("init_args", {}).get("scorer")
    return scorer if isinstance(scorer, dict) else {"class_path": scorer}
