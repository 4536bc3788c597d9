"""The trainer of a run: the experiment's settings, completed by checkpoints, signals and the processes of the run."""

from typing import TYPE_CHECKING

from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar

from kedrec.config import Experiment
from kedrec.errors import KedrecError
from kedrec.runtime.distributed import is_first
from kedrec.training.checkpoints import checkpoint_callbacks
from kedrec.training.deepspeed_batches import keep_batches
from kedrec.training.experiment_objects import Built
from kedrec.training.preemption import StopAtSignal, slurm_plugins
from kedrec.training.progress_bar import EpochProgressBar
from kedrec.training.run_folder import RunFolder

if TYPE_CHECKING:
    from lightning import Callback


def fit_trainer(built: Built, experiment: Experiment, run: RunFolder) -> Trainer:
    """Return the trainer of a run, and record its number of processes.

    Raises:
        KedrecError: the model or the data cannot be shared by several processes, or the run was begun by another number
            of processes.
    """
    # The best checkpoint is written before the last one, which records it.
    callbacks: list[Callback] = [
        *checkpoint_callbacks(experiment, run, built.model),
        *(built.trainer["callbacks"] or []),
        StopAtSignal(),
    ]
    if built.trainer["enable_progress_bar"] is not False and not any(isinstance(one, ProgressBar) for one in callbacks):
        callbacks.append(EpochProgressBar())
    # Data modules share their batches out to processes themselves.
    arguments = {**built.trainer, "use_distributed_sampler": False, "default_root_dir": str(run.path)}
    arguments["plugins"] = built.trainer["plugins"] or slurm_plugins()
    trainer = Trainer(**{**arguments, "logger": built.logger, "callbacks": callbacks})
    keep_batches(trainer)
    if trainer.world_size > 1:
        for group, one in (("model", built.model), ("data", built.data)):
            if not one.many_processes:
                raise KedrecError(
                    f"trainer: {trainer.world_size} processes asked for; {group} {type(one).__name__} runs in one, "
                    "with trainer.devices=1 and trainer.num_nodes=1"
                )
    run.set_processes(trainer.world_size)
    _warn_of_unvalidated_steps(trainer)
    return trainer


def _warn_of_unvalidated_steps(trainer: Trainer) -> None:
    if trainer.check_val_every_n_epoch is not None or trainer.max_steps <= 0 or not is_first():
        return
    if unseen := int(trainer.max_steps % trainer.val_check_interval):
        print(f"the last {unseen} steps come after the last validation: they cannot be the best checkpoint", flush=True)
