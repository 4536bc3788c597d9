"""Stopping in training or testing: all processes stop at the end of the same batch, and the state is saved."""

import signal
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint

from kedrec.runtime.signals import Preempted, defer, defer_no_longer, heard, waited
from kedrec.training.checkpoints import KeepLast

_PATIENCE = 20.0  # seconds; by default Slurm kills 30 s after SIGTERM


class StopAtSignal(Checkpoint):
    """Raises `Preempted` in all processes at the end of a batch, after SIGUSR1 or SIGTERM.

    In training ``last.ckpt`` is saved first. A state in the middle of a validation or of gradient accumulation cannot
    be resumed: the callback waits some seconds for the next state that can, and otherwise saves nothing.

    It is a `Checkpoint`, so that Lightning calls it after the callbacks of the best and last checkpoint.

    Args:
        patience: seconds to wait for a state that can be resumed.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        self.patience = patience

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Record signals instead of raising at once."""
        # Lightning's handler would replace ours. It broadcasts within the handler, which hangs if processes are at
        # different points.
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
        defer()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop; save if Lightning can resume here: neither before a validation nor after an epoch's last batch."""
        loop = trainer.fit_loop.epoch_loop
        validates = loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        self._stop_training(trainer, whole=not validates and not loop._num_ready_batches_reached())

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop in a long validation."""
        self._stop_training(trainer, whole=False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after a validation."""
        self._stop_training(trainer, whole=not trainer.sanity_checking)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop."""
        self._stop_if_agreed(trainer)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop."""
        self._stop_if_agreed(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop if a signal was received since the last batch; later signals raise at once again."""
        self._stop_if_agreed(trainer)
        defer_no_longer()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let signals raise at once again."""
        defer_no_longer()

    def _stop_training(self, trainer: Trainer, *, whole: bool) -> None:
        """Save and stop if the state can be resumed; otherwise wait for such a state, and stop after a while."""
        whole = whole and not trainer.fit_loop.epoch_loop._should_accumulate()
        if self._agreed(trainer, 0.0 if whole else self.patience):
            if whole:
                _save(trainer)
            self._stop(trainer)

    def _stop_if_agreed(self, trainer: Trainer) -> None:
        if self._agreed(trainer, 0.0):
            self._stop(trainer)

    def _agreed(self, trainer: Trainer, patience: float) -> bool:
        """Whether any process received a signal more than ``patience`` seconds ago; the same in all processes."""
        return _any(trainer, heard() is not None and waited() >= patience)

    def _stop(self, trainer: Trainer) -> None:
        warned = _any(trainer, heard() == signal.SIGUSR1)
        trainer.strategy.barrier("kedrec.training.preemption")
        raise Preempted(signal.SIGUSR1 if warned else signal.SIGTERM)


def slurm_plugins() -> list[ClusterEnvironment]:
    """Return the Trainer's plugins under Slurm, so that kedrec and not Lightning requeues; elsewhere none."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def _any(trainer: Trainer, flag: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(flag, all=False) if trainer.world_size > 1 else flag


def _save(trainer: Trainer) -> None:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, KeepLast):
            callback.save(trainer)


def _nothing() -> None:
    pass
