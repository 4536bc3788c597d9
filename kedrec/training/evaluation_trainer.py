"""What every command does that tests a model: the trainer for it, its numbers, and showing them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.runtime.table_printing import print_table
from kedrec.training.run_card import tables

if TYPE_CHECKING:
    from lightning import Callback, Trainer

_ASKED_OF_TESTS = ("accelerator", "devices", "precision", "enable_progress_bar", "limit_test_batches")


def trainer_for_tests(settings: Mapping[str, Any], callbacks: Sequence["Callback"] = ()) -> "Trainer":
    """Return a trainer that only tests: nothing is logged and no checkpoint is written.

    Args:
        settings: of an experiment's trainer, complete; those of a test are taken.
        callbacks: of the test.
    """
    from lightning import Trainer

    from kedrec.training.preemption import slurm_plugins

    asked: dict[str, Any] = {name: settings[name] for name in _ASKED_OF_TESTS}
    return Trainer(
        **asked,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_model_summary=False,
        plugins=list(slurm_plugins()),
    )


def numbers_of(trainer: "Trainer") -> dict[str, float]:
    """Return the numbers of the trainer's last test, ``test/NAME`` -> number; without those that are not defined."""
    numbers = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def show(metrics: Mapping[str, float], place: Path, called: str = "run folder") -> None:
    """Print the tables of metrics that people read, and where the rest lies."""
    for header, rows in tables(metrics):
        print_table(header, rows)
    print(f"{called}: {place}")
