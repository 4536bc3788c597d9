"""Stopping in the middle of training or testing: all processes at the end of the same batch, the state saved."""

import signal
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint

from kedrec.runtime.signals import Preempted, defer, defer_no_longer, heard, waited
from kedrec.training.checkpoints import KeepLast

_PATIENCE = 20.0  # seconds; Slurm kills 30 s after SIGTERM unless the site says otherwise


class StopAtSignal(Checkpoint):
    """Stops at the end of a batch after SIGUSR1 or SIGTERM, in all processes by `Preempted`.

    In training ``last.ckpt`` is saved first. Where the state cannot be gone on from, as in the middle of a validation
    or of an optimizer step, some seconds are given for it to become whole; after that the last checkpoint stands.

    It is a `Checkpoint` so that Lightning calls it behind those that keep the best and the last, given before it.

    Args:
        patience: those seconds.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        self.patience = patience

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Only note signals from here on."""
        # Lightning's handler would come before ours. It broadcasts from within, which hangs where processes are at
        # different places.
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
        defer()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop, at once where Lightning can go on: neither before a validation nor behind an epoch's last batch."""
        loop = trainer.fit_loop.epoch_loop
        validates = loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        self._stop_training(trainer, whole=not validates and not loop._num_ready_batches_reached())

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop in a validation that takes long."""
        self._stop_training(trainer, whole=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop behind a validation."""
        self._stop_training(trainer, whole=not trainer.sanity_checking)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop."""
        self._stop_if_agreed(trainer)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop."""
        self._stop_if_agreed(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop if a signal came since the last batch, and let later ones stop at once again."""
        self._stop_if_agreed(trainer)
        defer_no_longer()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let signals stop at once again."""
        defer_no_longer()

    def _stop_training(self, trainer: Trainer, *, whole: bool) -> None:
        """Stop and save where the state is a whole one; elsewhere wait for such a place, and stop after a while."""
        whole = whole and not trainer.fit_loop.epoch_loop._should_accumulate()
        if self._agreed(trainer, 0.0 if whole else self.patience):
            if whole:
                _save(trainer)
            self._stop(trainer)

    def _stop_if_agreed(self, trainer: Trainer) -> None:
        if self._agreed(trainer, 0.0):
            self._stop(trainer)

    def _agreed(self, trainer: Trainer, patience: float) -> bool:
        """Whether a signal came to any process, more than ``patience`` seconds ago; all are told the same."""
        return _any(trainer, heard() is not None and waited() >= patience)

    def _stop(self, trainer: Trainer) -> None:
        warned = _any(trainer, heard() == signal.SIGUSR1)
        trainer.strategy.barrier("kedrec.training.preemption")
        raise Preempted(signal.SIGUSR1 if warned else signal.SIGTERM)


def slurm_plugins() -> list[ClusterEnvironment]:
    """Return the Trainer's plugins under Slurm, by which Lightning leaves requeueing to kedrec; elsewhere none."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def _any(trainer: Trainer, flag: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(flag, all=False) if trainer.world_size > 1 else flag


def _save(trainer: Trainer) -> None:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, KeepLast):
            callback.save(trainer)


def _nothing() -> None:
    pass
