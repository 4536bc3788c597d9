"""The last and the best checkpoint of a run, each with the settings of the run."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from kedrec.config import Experiment
from kedrec.errors import KedrecError
from kedrec.runtime.distributed import gathered, is_first
from kedrec.runtime.resumption import FROM_CHECKPOINT, set_resumption
from kedrec.storage.atomic_folder import flush, publish_folder
from kedrec.training.base_classes import TrainableModule
from kedrec.training.run_folder import RunFolder
from kedrec.training.sharded_weights import whole_state


class Settings(Callback):
    """Stores settings and random states in each checkpoint, and restores the random state on resuming.

    Args:
        settings: of the experiment, as YAML.
    """

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self._random_state: dict[str, torch.Tensor] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add settings and the random state of each process."""
        checkpoint["kedrec"] = {"settings": self.settings, "random_states": gathered([_random_state()])}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember the random state of this process."""
        self._random_state = checkpoint["kedrec"]["random_states"][trainer.global_rank]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random state; not earlier, because data loaders draw random numbers when they are created."""
        state, self._random_state = self._random_state, None
        if state is not None:
            torch.set_rng_state(state["cpu"].cpu())
            if "cuda" in state and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["cuda"].cpu())


class KeepLast(Checkpoint):
    """Writes ``last.ckpt``, from which a stopped run resumes, completely or not at all.

    If the strategy writes folders, as DeepSpeed's does, ``last.ckpt`` is a link to the newest complete one.
    If a validation is due at the same step, the checkpoint is saved after it: the resumed run does not validate again,
    and must know which checkpoint is best. After the last batch of an epoch it is saved with the next batch: Lightning
    would count that epoch twice.

    Args:
        folder: of the checkpoints.
        every: optimizer steps between two checkpoints, which are lost at most by a kill.
    """

    def __init__(self, folder: str, every: int = 25) -> None:
        self.path = Path(folder) / "last.ckpt"
        self.every = every
        self._saved = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from the step at which training starts or resumes."""
        self._saved = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save after each ``every`` optimizer steps."""
        loop = trainer.fit_loop.epoch_loop
        validates = loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        if not validates and not loop._num_ready_batches_reached():
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a checkpoint that waited for the validation."""
        if not trainer.sanity_checking:
            self._save_if_due(trainer)

    def _save_if_due(self, trainer: Trainer) -> None:
        due = trainer.global_step // self.every > self._saved // self.every
        if due and not trainer.fit_loop.epoch_loop._should_accumulate():
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the training, so that after a stopped test training is not repeated."""
        if not trainer.interrupted:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save now; each process must call it."""
        self._saved = trainer.global_step
        whole = self.path.with_name(f"last-{trainer.global_step:07}")
        partial = self.path.with_name(".last.partial")
        if is_first():
            _remove(partial)
        trainer.strategy.barrier()
        with _removed_on_failure(partial):
            trainer.save_checkpoint(partial)
        if is_first():
            _put_in_place(partial, whole, self.path)
            set_resumption(FROM_CHECKPOINT)
        trainer.strategy.barrier()


class KeepBest(Checkpoint):
    """Writes ``best.ckpt``, the weights of the best validation so far, in one file with any strategy.

    Args:
        folder: of the checkpoints.
        monitor: metric of the validation.
        mode: whether the least or the greatest value is best.
    """

    def __init__(self, folder: Path, monitor: str, mode: Literal["min", "max"]) -> None:
        self.path = folder / "best.ckpt"
        self.monitor = monitor
        self.mode = mode
        self.best: float | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if this validation is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self.monitor not in trainer.callback_metrics:
            raise KedrecError(
                f"model: the best checkpoint is chosen by {self.monitor!r}, which the validation does not log; "
                "set `monitor` of the model to a metric that it logs"
            )
        value = float(trainer.callback_metrics[self.monitor])
        if math.isnan(value) or not self._beats(value):
            return
        self.best = value
        checkpoint: dict[str, Any] = {"state_dict": whole_state(pl_module), "global_step": trainer.global_step}
        pl_module.on_save_checkpoint(checkpoint)
        if is_first():
            partial = self.path.with_name(".best.ckpt.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            with _removed_on_failure(partial):
                torch.save(checkpoint, partial)
                flush(partial)
            partial.replace(self.path)

    def _beats(self, value: float) -> bool:
        return self.best is None or (value < self.best if self.mode == "min" else value > self.best)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value so far."""
        self.best = state_dict["best"]


def checkpoint_callbacks(experiment: Experiment, run: RunFolder, model: TrainableModule) -> list[Callback]:
    """Return the callbacks of every run: settings in checkpoints, and ``best.ckpt`` by the model's metric."""
    return [Settings(experiment.yaml()), KeepBest(run.checkpoints, *model.monitor)]


def _random_state() -> dict[str, torch.Tensor]:
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _put_in_place(partial: Path, whole: Path, last: Path) -> None:
    """Rename a complete checkpoint to its final name, and remove earlier ones."""
    if partial.is_file():
        flush(partial)
        partial.replace(last)
        return
    publish_folder(partial, whole)
    link = last.with_name(".last.link")
    _remove(link)
    link.symlink_to(whole.name)
    link.replace(last)
    for older in last.parent.glob("last-*"):
        if older != whole:
            _remove(older)


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    """Remove a partial file if the block fails; after a kill the next save removes it."""
    try:
        yield
    except BaseException:
        if is_first():
            _remove(path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
