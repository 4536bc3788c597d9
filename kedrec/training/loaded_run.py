"""A loaded run: the settings of a finished run, with overrides for another test, its metrics and its best weights."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kedrec.config import Experiment
from kedrec.errors import KedrecError, nearest
from kedrec.renamed_settings import check_names, translated
from kedrec.storage.hashing import key_hash
from kedrec.training.saved_results import read_metrics, read_rows
from kedrec.training.weight_names import check_weight_names

if TYPE_CHECKING:
    from lightning import LightningDataModule, LightningModule

# Arguments of models that change no weight, and so can be overridden in a test; and settings of a test's trainer.
TESTED_WITH = (
    "compiled",
    "dtype",
    "max_new_tokens",
    "metrics",
    "ranking_memory",
    "seed",
    "trust_remote_code",
    "unseen_neighbours",
)
TRAINER = ("accelerator", "precision", "enable_progress_bar", "limit_test_batches")
_SILENT = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "."}}  # never used


@dataclass(frozen=True)
class FinishedRun:
    """A run folder that `kedrec.fit` has completed.

    Attributes:
        path: the folder.
        metrics: of its test, name -> number.
        experiment: its settings with the overrides; one process, no logger, no callbacks.
        overrides: the overrides, nested.
        original: its settings without the overrides, otherwise alike.
    """

    path: Path
    metrics: dict[str, float]
    experiment: Experiment
    overrides: dict[str, Any]
    original: Experiment

    @property
    def id(self) -> str:
        """Ten hex digits that name the overrides."""
        return key_hash(self.overrides)[:10]

    def predictions(self) -> list[dict[str, Any]]:
        """Return the predictions of the run's test, one row an example.

        Raises:
            KedrecError: the file is missing.
        """
        path = self.path / "predictions.jsonl"
        if not path.is_file():
            raise KedrecError(f"{path}: no such file; expected the predictions of the run, to compare with")
        return read_rows(path)

    @property
    def task(self) -> str:
        """What the model predicts, see `TrainableModule`; empty for the model of another package that has not said."""
        return str(self._recorded("task", "model", ""))

    @property
    def title(self) -> str:
        """What reports call the model; empty where they call it by its scorer or its class."""
        return str(self._recorded("title", "model", ""))

    @property
    def private(self) -> bool:
        """Whether its data are patient data, or of another package that has not said that they are none."""
        return bool(self._recorded("private", "data", True))

    @property
    def collection(self) -> str:
        """What reports call its data; empty where they call them by their graph."""
        return str(self._recorded("collection", "data", ""))

    def _recorded(self, name: str, group: str, unknown: object) -> object:
        """Return what the run recorded; of a run older than the record, what the class of the group says."""
        record = self.provenance()
        if name in record:
            return record[name]
        module, _, kind = str(self.original.tree[group].get("class_path", "")).rpartition(".")
        if not module.startswith("kedrec."):  # nothing is imported from other packages to report a run
            return unknown
        try:
            return getattr(getattr(import_module(module), kind), name)
        except (ImportError, AttributeError):
            return unknown

    def provenance(self) -> dict[str, Any]:
        """Return versions, hardware and data of the run; empty if the file is missing."""
        path = self.path / "provenance.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def open_run(folder: str | Path, overrides: Sequence[str] = ()) -> FinishedRun:
    """Read a run folder.

    Args:
        folder: as `kedrec.fit` prints it.
        overrides: such as ``data.init_args.a=1``, with or without ``--``: any of the data; of the model those that
            change no weight; of the trainer those of a test.

    Raises:
        KedrecError: it is no folder of a finished run, a file of it is damaged, or a key cannot be overridden.
    """
    path = Path(folder)
    settings, numbers = path / "config.yaml", path / "metrics.json"
    if not settings.is_file():
        raise KedrecError(f"{settings}: no such file; expected the folder of a run of kedrec.fit, runs/NAME/ID")
    if not numbers.is_file():
        raise KedrecError(f"{numbers}: no such file: the run is not finished; the same kedrec.fit command resumes it")
    tree = _settings(settings)
    changed = _parsed(overrides)
    run_id = str(tree.get("run_id", ""))
    original = Experiment(
        name=path.resolve().parent.name if path.resolve().name == run_id else path.resolve().name,
        run_dir=path,
        run_id=run_id,
        tree=_for_testing(tree),
        layers=(),
    )
    metrics = read_metrics(numbers, "delete it, and run its kedrec.fit again")
    return FinishedRun(path, metrics, _with(original, settings, changed), changed, _with(original, settings, {}))


def make_ready(data: "LightningDataModule") -> None:
    """Prepare data and set them up, and show progress.

    Raises:
        KedrecError: a file is missing or has another format.
    """
    from kedrec.runtime.progress import shown_as_bars

    with shown_as_bars():
        data.prepare_data()
        data.setup("fit")


def load_best(run: FinishedRun, model: "LightningModule") -> Path:
    """Load the weights with which the run was tested: ``best.ckpt``, else what the model exported.

    Args:
        run: the run.
        model: after ``configure_model``.

    Returns:
        The file or folder of the weights.

    Raises:
        KedrecError: there are no weights, or they are of another model.
    """
    from kedrec.training.base_classes import TrainableModule

    checkpoints = run.path / "checkpoints"
    best, last = checkpoints / "best.ckpt", checkpoints / "last.ckpt"
    if best.is_file():
        return _load_checkpoint(best, model)
    if isinstance(model, TrainableModule) and (exported := model.load_export(run.path)) is not None:
        return exported
    if last.is_file():  # the training ended before its first validation
        return _load_checkpoint(last, model)
    raise KedrecError(f"{best}: no such file, and no other weights in {run.path}; train the run again")


def _load_checkpoint(path: Path, model: "LightningModule") -> Path:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    expected: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(expected)
    check_weight_names(path, set(expected["state_dict"]), set(state))
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as fault:  # torch's report of sizes that differ
        reason = " ".join(str(fault).split()).partition(": ")[2]
        raise KedrecError(f"{path}: the weights do not fit the model of these settings: {reason}") from fault
    return path


def _settings(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise KedrecError(f"{path}: not valid YAML ({' '.join(str(fault).split())})") from fault
    for group in ("model", "data", "trainer"):
        if not isinstance(tree, dict) or not isinstance(tree.get(group), dict):
            raise KedrecError(f"{path}: {group}: missing; expected the settings of a run of kedrec.fit")
    if not isinstance(tree.get("seed", 0), int):
        raise KedrecError(f"{path}: seed: {tree['seed']!r}; expected a whole number")
    return translated(tree)


def _for_testing(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those of training alone: logger, callbacks, strategy."""
    trainer = {name: value for name, value in tree["trainer"].items() if name in TRAINER}
    return {**tree, "trainer": {**trainer, "devices": 1}, "logger": _SILENT}


def _with(original: Experiment, origin: Path, overrides: Mapping[str, Any]) -> Experiment:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    layers = ((str(origin), OmegaConf.create(original.tree)), ("command line", OmegaConf.create(dict(overrides))))
    try:
        tree: Any = OmegaConf.to_container(OmegaConf.merge(layers[0][1], layers[1][1]), resolve=True)
    except OmegaConfBaseException as fault:
        raise KedrecError(f"command line: {str(fault).strip().splitlines()[0]}") from fault
    experiment = replace(original, tree=tree, layers=layers)
    check_names(tree, experiment.origin)
    return experiment


def _parsed(overrides: Sequence[str]) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    plain = [item.removeprefix("--") for item in overrides]
    for item in plain:
        if not re.match(r"[\w.]+=", item):
            raise KedrecError(
                f"command line: {item!r}: expected key=value, for example data.init_args.retrieval.sources=[pmc]"
            )
        _check_key(item.partition("=")[0])
    try:
        tree: Any = OmegaConf.to_container(OmegaConf.from_dotlist(plain))
    except (OmegaConfBaseException, yaml.YAMLError) as fault:
        raise KedrecError(f"command line: {str(fault).strip().splitlines()[0]}") from fault
    return dict(tree)


def _check_key(key: str) -> None:
    group, _, rest = key.partition(".")
    if group == "data" and rest and rest != "init_args.base":
        return
    if group in ("model", "data") and rest not in {f"init_args.{name}" for name in TESTED_WITH}:
        raise KedrecError(
            f"command line: {key}: it cannot change after training; of model.init_args only {', '.join(TESTED_WITH)} "
            f"can be set{nearest(key.rpartition('.')[2], TESTED_WITH)}"
        )
    if group == "trainer" and rest not in TRAINER:
        raise KedrecError(
            f"command line: {key}: no setting of a test{nearest(rest, TRAINER)}; expected one of {', '.join(TRAINER)}"
        )
    if group not in ("model", "data", "trainer"):
        raise KedrecError(
            f"command line: {key}: it cannot be set for a finished run; expected data.init_args..., model.init_args... "
            "or trainer..."
        )
