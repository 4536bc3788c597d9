"""Train and test one experiment: ``python -m kedrec.fit experiments/both_sources.yaml [key=value ...]``.

The same command again goes on where it was stopped, or shows the results of a run that is finished. With `--plan` it
prints what the experiment would take, and loads nothing (`--plan --help`).
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kedrec.config import Built, Experiment, build, compose
from kedrec.errors import KedrecError
from kedrec.runtime.command_line import run_command
from kedrec.runtime.distributed import is_first, process_number
from kedrec.runtime.progress import shown_as_bars
from kedrec.runtime.signals import preemptible
from kedrec.training.evaluation_trainer import numbers_of, show
from kedrec.training.run_folder import (
    Asks,
    Exports,
    HasBaseline,
    HasFacts,
    HoldsOut,
    InManyProcesses,
    Private,
    RunFolder,
    answers_of,
)

if TYPE_CHECKING:
    from lightning import Callback, Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run, "the same command goes on from the last checkpoint")


def _run(arguments: list[str]) -> None:
    if "--plan" in arguments:
        from kedrec.commands.plan.plan_report import show_plan

        show_plan(arguments)
        return
    with preemptible():
        fit(compose(arguments[0], arguments[1:]))


def fit(experiment: Experiment) -> dict[str, float]:
    """Train and test; return the metrics of the test set, ``base/...`` and ``test/...``."""
    run = RunFolder(experiment)
    with run.opened():
        metrics = run.metrics()
        if metrics is None:
            metrics = _fit(experiment, run)
        elif is_first():
            print("this run is finished; its results:")
        if is_first():
            show(metrics, run.path)
    return metrics


def _fit(experiment: Experiment, run: RunFolder) -> dict[str, float]:
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from lightning import seed_everything

    from kedrec.evaluation.citation_support import judged_answers
    from kedrec.training.base_answers import compared_with_base, score_untrained, score_untrained_together
    from kedrec.training.sharded_weights import is_sharded
    from kedrec.training.wandb_report import report_to_wandb

    built = build(experiment)
    trainer = _trainer(built, experiment, run)
    with run.timed("prepare"), shown_as_bars():
        built.data.prepare_data()
        built.data.setup("fit")
    if isinstance(built.data, HoldsOut) and built.data.manifest is not None and is_first():
        built.data.manifest.save(run.path / "split.tsv")
    asked = isinstance(built.model, HasBaseline) and isinstance(built.data, Asks)
    alone = trainer.world_size == 1
    metrics = score_untrained(built, run) if asked and alone else {}
    seed_everything(experiment.tree["seed"] + process_number(), verbose=False)
    built.logger.log_hyperparams(experiment.tree)
    with run.timed("train"):
        trainer.fit(built.model, built.data, ckpt_path=run.last_checkpoint, weights_only=True)
    run.load_best(built.model)
    # What a test draws does not depend on how training came to its end.
    seed_everything(experiment.tree["seed"] + process_number(), verbose=False)
    with run.timed("test"):
        trainer.test(built.model, built.data, verbose=False)
    metrics |= numbers_of(trainer)
    answers = answers_of(built.model)
    for name, kept in answers.items():
        run.write_rows(f"{name}.jsonl", kept)
    if isinstance(built.model, Exports) and (is_first() or is_sharded(built.model)):
        run.write_folder("export", built.model.export)
    if asked and not alone:
        metrics = score_untrained_together(built, experiment, run, trainer) | metrics
    rows = answers.get("predictions", [])
    metrics |= {**compared_with_base(run.path, rows), **judged_answers(built.data, rows)}
    run.finish(metrics, built.data.facts if isinstance(built.data, HasFacts) else {}, built.model)
    if is_first():
        report_to_wandb(built.logger, run, metrics, private=isinstance(built.data, Private))
    built.logger.finalize("success")
    return metrics


def _trainer(built: Built, experiment: Experiment, run: RunFolder) -> "Trainer":
    from lightning import Trainer

    from kedrec.training.checkpoints import checkpoint_callbacks
    from kedrec.training.deepspeed_batches import keep_batches
    from kedrec.training.preemption import StopAtSignal, slurm_plugins

    # The best checkpoint is settled before the last one is saved, which tells it.
    callbacks: list[Callback] = [
        *checkpoint_callbacks(experiment, run, built.model),
        *(built.trainer["callbacks"] or []),
        StopAtSignal(),
    ]
    # Data share themselves out to processes.
    arguments = {**built.trainer, "use_distributed_sampler": False, "default_root_dir": str(run.path)}
    arguments["plugins"] = built.trainer["plugins"] or slurm_plugins()
    trainer = Trainer(**{**arguments, "logger": built.logger, "callbacks": callbacks})
    keep_batches(trainer)
    if trainer.world_size > 1:
        for group, one in (("model", built.model), ("data", built.data)):
            if not isinstance(one, InManyProcesses):
                raise KedrecError(
                    f"trainer: {trainer.world_size} processes asked for; {group} {type(one).__name__} runs in one, "
                    "with trainer.devices=1 and trainer.num_nodes=1"
                )
    run.set_processes(trainer.world_size)
    interval = trainer.val_check_interval
    if trainer.check_val_every_n_epoch is None and trainer.max_steps > 0 and trainer.max_steps % interval:
        unseen = int(trainer.max_steps % interval)
        if is_first():
            print(
                f"the last {unseen} steps come after the last validation: they cannot be the best checkpoint",
                flush=True,
            )
    return trainer


if __name__ == "__main__":
    sys.exit(main())
