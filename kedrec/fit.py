"""Train and test one experiment: ``python -m kedrec.fit experiments/both_sources.yaml [key=value ...]``.

The same command resumes a run that was stopped, or shows the results of a finished one. With `--plan` it prints what
the experiment would take, and loads nothing (`--plan --help`).
"""

import sys
from collections.abc import Sequence

from kedrec.config import Experiment, compose
from kedrec.runtime.command_line import run_command
from kedrec.runtime.distributed import is_first, process_number
from kedrec.runtime.environment import prepare_environment
from kedrec.runtime.signals import preemptible
from kedrec.training.evaluation_trainer import show
from kedrec.training.run_folder import RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run, interrupted=None)


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
            metrics = _train_and_test(experiment, run)
        elif is_first():
            print("this run is finished; its results:")
        if is_first():
            show(metrics, run.path, run.closing_metrics())
    return metrics


def _train_and_test(experiment: Experiment, run: RunFolder) -> dict[str, float]:
    prepare_environment()
    from lightning import seed_everything

    from kedrec.training.base_answers import has_baseline, score_base, score_base_together
    from kedrec.training.evaluation_results import answer_metrics, run_test
    from kedrec.training.experiment_objects import build
    from kedrec.training.fit_trainer import fit_trainer
    from kedrec.training.wandb_report import report_to_wandb, start_wandb

    built = build(experiment)
    start_wandb(built.logger)
    trainer = fit_trainer(built, experiment, run)
    run.prepare(built.data)

    base, alone = {}, trainer.world_size == 1
    if has_baseline(built) and alone:
        base = score_base(built, run)

    seed = experiment.tree["seed"] + process_number()
    seed_everything(seed, verbose=False)
    built.logger.log_hyperparams(experiment.tree)
    with run.timed("train"):
        trainer.fit(built.model, built.data, ckpt_path=run.last_checkpoint, weights_only=True)

    run.load_best(built.model)
    seed_everything(seed, verbose=False)  # what a test draws does not depend on how training came to its end
    with run.timed("test"):
        results = run_test(trainer, built)
    run.write_answers(results.answers)
    run.export(built.model)

    if has_baseline(built) and not alone:
        base = score_base_together(built, experiment, run, trainer)
    metrics = {**base, **results.metrics, **answer_metrics(results, built, run.path)}
    run.finish(metrics, built.model, built.data)
    if is_first():
        report_to_wandb(built.logger, run, metrics, private=built.data.private)
    built.logger.finalize("success")
    return metrics


if __name__ == "__main__":
    sys.exit(main())
