"""What a run keeps as it goes: the last and the best checkpoint, each with the settings that made it."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from kedrec.config import Experiment
from kedrec.run import Monitored, RunFolder


class Settings(Callback):
    """Puts the resolved settings and the random state into each checkpoint, and takes the random state back.

    Args:
        settings: the resolved settings as YAML.
    """

    def __init__(self, settings: str) -> None:
        self.settings = settings

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add settings and random state."""
        checkpoint["kedrec"] = {"settings": self.settings, "random_state": torch.get_rng_state()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with the random numbers that would have come next."""
        torch.set_rng_state(checkpoint["kedrec"]["random_state"])


class KeepLast(Checkpoint):
    """Keeps ``last.ckpt``, from which a stopped run goes on; written whole or not at all.

    Where a validation is due at the same step, it is saved behind it: a run that goes on from there does not validate
    again, and must know which checkpoint is best.

    Args:
        folder: where it is kept.
        every: optimizer steps from one to the next: what a kill can cost.
    """

    def __init__(self, folder: str, every: int = 25) -> None:
        self.path = Path(folder) / "last.ckpt"
        self.every = every
        self._saved = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save after each ``every`` optimizer steps."""
        loop = trainer.fit_loop
        if not loop.epoch_loop._should_check_val_fx(loop._data_fetcher):  # type: ignore[arg-type]
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was put off."""
        if not trainer.sanity_checking:
            self._save_if_due(trainer)

    def _save_if_due(self, trainer: Trainer) -> None:
        if trainer.global_step % self.every == 0 and trainer.global_step != self._saved:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what training ended with, so that a test that is stopped is not preceded by training again."""
        if not trainer.interrupted:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        self._saved = trainer.global_step
        trainer.save_checkpoint(self.path)


def checkpoint_callbacks(experiment: Experiment, run: RunFolder, model: LightningModule) -> list[Callback]:
    """Return the callbacks of every run: settings in checkpoints, and ``best.ckpt`` by the model's own measure."""
    monitor, mode = model.monitor if isinstance(model, Monitored) else ("validation/loss", "min")
    best = ModelCheckpoint(
        run.checkpoints,
        filename="best",
        monitor=monitor,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    return [Settings(experiment.yaml()), best]
