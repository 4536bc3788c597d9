"""The answers of the untrained base to the test of the trained model, kept in the store for other seeds and settings.

Only the answers are kept: the metrics are computed from them each time.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kedrec.config import Experiment
from kedrec.evaluation.audit_metrics import unknown_to_base
from kedrec.runtime.distributed import any_process, is_first
from kedrec.storage.artifact_store import Store
from kedrec.storage.jsonl import jsonl, read_jsonl
from kedrec.training.base_classes import Rows, TrainableModule
from kedrec.training.evaluation_trainer import trainer_for_tests
from kedrec.training.experiment_objects import Built, build
from kedrec.training.run_folder import RunFolder
from kedrec.training.saved_results import read_rows

if TYPE_CHECKING:
    from lightning import Trainer

_KIND = "base-answers"


def has_baseline(built: Built) -> bool:
    """Whether the untrained model can answer the test, once the data are set up."""
    return built.model.has_baseline and bool(built.data.test_identity())


def score_base(built: Built, run: RunFolder) -> dict[str, float]:
    """Return ``base/...`` metrics, before training, in one process; the answers are written to the run folder."""

    def answer(folder: Path) -> None:
        print("scoring the untouched base on the test set", flush=True)
        trainer = trainer_for_tests(built.trainer)
        with built.model.untrained():
            trainer.test(built.model, built.data, verbose=False)
        _write(folder, built.model.answers)

    with run.timed("base"):
        folder = _store(built, run).get(_KIND, _key(built), answer)
        return _scored(folder, built.model, run)


def score_base_together(built: Built, experiment: Experiment, run: RunFolder, trainer: "Trainer") -> dict[str, float]:
    """Return ``base/...`` metrics, after training, by all processes of a trainer; each process must call it.

    Without an adapter to switch off the base is built anew.
    """
    key, store, model = _key(built), _store(built, run), built.model

    def write(folder: Path) -> None:
        _write(folder, model.answers)

    with run.timed("base"):
        stored = any_process(is_first() and store.holds(_KIND, key))
        if not stored:
            if is_first():
                print("scoring the untouched base on the test set", flush=True)
            if not model.keeps_base:
                model = build(experiment).model
            with model.untrained():
                trainer.test(model, built.data, verbose=False)
        return _scored(store.get(_KIND, key, _missing if stored else write), model, run) if is_first() else {}


def compared_with_base(folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return ``test/...`` metrics of predictions on the pairs that the untrained base did not know.

    Args:
        folder: of the run, with the base's answers; without them there are no such metrics.
        rows: predictions of the same test.
    """
    answers, audits = (folder / f"{name}_base.jsonl" for name in ("predictions", "audits"))
    if not answers.is_file() or not audits.is_file():
        return {}
    metrics = unknown_to_base(rows, read_rows(answers), read_rows(audits))
    return {f"test/{name}": value for name, value in metrics.items()}


def _missing(folder: Path) -> None:
    raise AssertionError(f"{folder}: the answers of the base were stored a moment ago")


def _store(built: Built, run: RunFolder) -> Store:
    # Answers to questions about patients are patient data too: they stay in the run folder.
    return Store(run.path / "base_answers") if built.data.private else Store()


def _key(built: Built) -> dict[str, Any]:
    return {
        **built.model.untrained_key(),
        "test": built.data.test_identity(),
        "batches": built.trainer["limit_test_batches"],
        "precision": built.trainer["precision"],
    }


def _write(folder: Path, answers: Rows) -> None:
    for name, rows in answers.items():
        (folder / f"{name}.jsonl").write_text(jsonl(rows), encoding="utf-8")


def _scored(folder: Path, model: TrainableModule, run: RunFolder) -> dict[str, float]:
    """Write the answers in ``folder`` to the run folder, and return their metrics as Lightning would log them."""
    answers = {path.stem: read_jsonl(path) for path in sorted(folder.glob("*.jsonl"))}
    run.write_answers(answers, "_base")
    logged = {name: float(np.float32(value)) for name, value in model.test_metrics(answers).items()}
    return {f"base/{name}": value for name, value in logged.items() if not math.isnan(value)}
