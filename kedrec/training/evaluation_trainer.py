"""The trainer of a test, its metrics, and printing them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.runtime.table_printing import print_table
from kedrec.training.run_card import tables

if TYPE_CHECKING:
    from lightning import Callback, Trainer

_TEST_SETTINGS = ("accelerator", "devices", "precision", "enable_progress_bar", "limit_test_batches")


def trainer_for_tests(settings: Mapping[str, Any], callbacks: Sequence["Callback"] = ()) -> "Trainer":
    """Return a trainer that only tests: nothing is logged and no checkpoint is written.

    Args:
        settings: of the experiment's trainer, complete; only those of a test are used.
        callbacks: of the test.
    """
    from lightning import Trainer

    from kedrec.training.preemption import slurm_plugins

    used: dict[str, Any] = {name: settings[name] for name in _TEST_SETTINGS}
    return Trainer(
        **used,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_model_summary=False,
        plugins=list(slurm_plugins()),
    )


def numbers_of(trainer: "Trainer") -> dict[str, float]:
    """Return the metrics of the trainer's last test, ``test/NAME`` -> number, without undefined ones (NaN)."""
    numbers = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def show(
    metrics: Mapping[str, float], folder: Path, names: Sequence[str] | None = None, label: str = "run folder"
) -> None:
    """Print the closing tables of a test, and where all metrics are.

    Args:
        metrics: of the test.
        folder: holds ``metrics.json``.
        names: of the metrics in the first table, as `TrainableModule.closing_metrics` returns them; ``None`` for all.
        label: what ``folder`` is.
    """
    for header, rows in tables(metrics, names):
        print_table(header, rows)
    print(f"all metrics: {folder / 'metrics.json'}, defined in docs/metrics.md")
    print(f"{label}: {folder}")
