"""Train and test one experiment: ``python -m kedrec.fit experiments/both_sources.yaml [key=value ...]``.

The same command again goes on where it was stopped, or shows the results of a run that is finished.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.card import tables
from kedrec.config import Built, Experiment, build, compose
from kedrec.errors import KedrecError
from kedrec.progress import shown_as_bars
from kedrec.run import Asks, Exports, HasBaseline, HasFacts, Predicts, Private, RunFolder
from kedrec.store import Store

if TYPE_CHECKING:
    from lightning import Callback, Trainer

_SCORING = 2  # raise when a metric changes: the base's kept answers are then given and scored anew


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        experiment = compose(arguments[0], arguments[1:])
        fit(experiment)
    except KedrecError as fault:
        print(f"kedrec: {fault}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning's trainer answers Ctrl-C by leaving with status 1.
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        print("\nkedrec: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def fit(experiment: Experiment) -> dict[str, float]:
    """Train and test; return the metrics of the test set, ``base/...`` and ``test/...``."""
    run = RunFolder(experiment)
    with run.opened():
        metrics = run.metrics()
        if metrics is None:
            metrics = _fit(experiment, run)
        else:
            print("this run is finished; its results:")
        _show(metrics, run.path)
    return metrics


def _fit(experiment: Experiment, run: RunFolder) -> dict[str, float]:
    from kedrec.environment import prepare_environment

    prepare_environment()
    from lightning import seed_everything

    from kedrec.tracking import report_to_wandb

    built = build(experiment)
    with run.timed("prepare"), shown_as_bars():
        built.data.prepare_data()
        built.data.setup("fit")
    metrics = (
        _score_untrained(built, run) if isinstance(built.model, HasBaseline) and isinstance(built.data, Asks) else {}
    )
    seed_everything(experiment.tree["seed"], verbose=False)
    trainer = _trainer(built, experiment, run)
    built.logger.log_hyperparams(experiment.tree)
    with run.timed("train"):
        trainer.fit(built.model, built.data, ckpt_path=run.last_checkpoint, weights_only=True)
    with run.timed("test"):
        trainer.test(built.model, built.data, ckpt_path=run.best_checkpoint, weights_only=True, verbose=False)
    metrics |= {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    if isinstance(built.model, Predicts):
        run.write_rows("predictions.jsonl", built.model.predictions)
    if isinstance(built.model, Exports):
        run.write_folder("export", built.model.export)
    run.finish(metrics, built.data.facts if isinstance(built.data, HasFacts) else {}, built.model)
    report_to_wandb(built.logger, run, metrics, private=isinstance(built.data, Private))
    built.logger.finalize("success")
    return metrics


def _trainer(built: Built, experiment: Experiment, run: RunFolder) -> "Trainer":
    from lightning import Trainer

    from kedrec.callbacks import checkpoint_callbacks

    # The best checkpoint is settled before the last one is saved, which tells it.
    callbacks: list[Callback] = [
        *checkpoint_callbacks(experiment, run, built.model),
        *(built.trainer.pop("callbacks") or []),
    ]
    arguments = {**built.trainer, "default_root_dir": str(run.path), "logger": built.logger, "callbacks": callbacks}
    trainer = Trainer(**arguments)
    if trainer.world_size > 1:
        raise KedrecError(
            f"trainer: {trainer.world_size} processes asked for; a run has one process and one device so far"
        )
    interval = trainer.val_check_interval
    if trainer.check_val_every_n_epoch is None and trainer.max_steps > 0 and trainer.max_steps % interval:
        unseen = int(trainer.max_steps % interval)
        print(f"the last {unseen} steps come after the last validation: they cannot be the best checkpoint", flush=True)
    return trainer


def _score_untrained(built: Built, run: RunFolder) -> dict[str, float]:
    """Let the untouched base answer the same test; its answers are kept in the store for other seeds and settings."""
    import json

    from lightning import Trainer

    model: Any = built.model
    data: Any = built.data

    def answer(folder: Path) -> None:
        print("scoring the untouched base on the test set", flush=True)
        same = ("accelerator", "devices", "precision", "enable_progress_bar", "limit_test_batches")
        settings = {name: built.trainer[name] for name in same}
        trainer = Trainer(**settings, logger=False, enable_checkpointing=False, enable_model_summary=False)
        with model.untrained():
            trainer.test(model, built.data, verbose=False)
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        (folder / "metrics.json").write_text(json.dumps(numbers), encoding="utf-8")
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in model.predictions)
        (folder / "predictions.jsonl").write_text(rows, encoding="utf-8")

    key = {
        **model.untrained_key(),
        "scoring": _SCORING,
        "test": data.test_identity(),
        "batches": built.trainer["limit_test_batches"],
        "precision": built.trainer["precision"],
    }
    # What patients' questions are is told by their answers: those stay in the run folder.
    store = Store(run.path / "base_answers") if isinstance(data, Private) else Store()
    with run.timed("base"):
        place = store.get("base-answers", key, answer)
    rows = (place / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    run.write_rows("predictions_base.jsonl", [json.loads(row) for row in rows])
    numbers = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
    return {name.replace("test/", "base/"): value for name, value in numbers.items()}


def _show(metrics: dict[str, float], place: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for header, rows in tables(metrics):
        shown = Table(*header)
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    console.print(f"run folder: {place}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
