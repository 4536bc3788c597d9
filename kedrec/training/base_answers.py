"""The untouched base answers the same test as the trained model; its answers are kept for other seeds and settings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.config import Built, Experiment, build
from kedrec.evaluation.audit_metrics import unknown_to_base
from kedrec.runtime.distributed import any_process, is_first
from kedrec.storage.artifact_store import Store
from kedrec.storage.jsonl import jsonl, read_jsonl
from kedrec.training.evaluation_trainer import numbers_of, trainer_for_tests
from kedrec.training.run_folder import Private, RunFolder, answers_of

if TYPE_CHECKING:
    from lightning import Trainer

_KIND = "base-answers"
_SCORING = 5  # raise when a metric changes: kept answers are then given and scored anew


def score_untrained(built: Built, run: RunFolder) -> dict[str, float]:
    """Return ``base/...`` metrics, before training, in one process."""
    model: Any = built.model

    def answer(folder: Path) -> None:
        print("scoring the untouched base on the test set", flush=True)
        trainer = trainer_for_tests(built.trainer)
        with model.untrained():
            trainer.test(model, built.data, verbose=False)
        _write(folder, trainer, model)

    with run.timed("base"):
        place = _store(built, run).get(_KIND, _key(built), answer)
    return _read(place, run)


def score_untrained_together(
    built: Built, experiment: Experiment, run: RunFolder, trainer: "Trainer"
) -> dict[str, float]:
    """Return ``base/...`` metrics, after training, by all processes of a trainer, in which each must call it.

    Without an adapter to be switched off the base is built anew.
    """
    key, store = _key(built), _store(built, run)
    model: Any = built.model

    def write(folder: Path) -> None:
        _write(folder, trainer, model)

    with run.timed("base"):
        kept = any_process(is_first() and store.holds(_KIND, key))
        if not kept:
            if is_first():
                print("scoring the untouched base on the test set", flush=True)
            if not model.keeps_base:
                model = build(experiment).model
            with model.untrained():
                trainer.test(model, built.data, verbose=False)
        return _read(store.get(_KIND, key, _missing if kept else write), run) if is_first() else {}


def compared_with_base(folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return ``test/...`` metrics of predictions on the pairs that the untouched base did not know, if that was asked.

    Args:
        folder: of the run, with the base's answers.
        rows: predictions of the same test.
    """
    answers, audits = (folder / f"{name}_base.jsonl" for name in ("predictions", "audits"))
    if not answers.is_file() or not audits.is_file():
        return {}
    found = unknown_to_base(rows, read_jsonl(answers), read_jsonl(audits))
    return {f"test/{name}": value for name, value in found.items()}


def _missing(folder: Path) -> None:
    raise AssertionError(f"{folder}: the answers of the base were kept a moment ago")


def _store(built: Built, run: RunFolder) -> Store:
    # What patients' questions are is told by their answers: those stay in the run folder.
    return Store(run.path / "base_answers") if isinstance(built.data, Private) else Store()


def _key(built: Built) -> dict[str, Any]:
    model: Any = built.model
    data: Any = built.data
    return {
        **model.untrained_key(),
        "scoring": _SCORING,
        "test": data.test_identity(),
        "batches": built.trainer["limit_test_batches"],
        "precision": built.trainer["precision"],
    }


def _write(folder: Path, trainer: "Trainer", model: Any) -> None:
    (folder / "metrics.json").write_text(json.dumps(numbers_of(trainer)), encoding="utf-8")
    for name, rows in answers_of(model).items():
        (folder / f"{name}.jsonl").write_text(jsonl(rows), encoding="utf-8")


def _read(place: Path, run: RunFolder) -> dict[str, float]:
    for kept in sorted(place.glob("*.jsonl")):
        run.write_rows(f"{kept.stem}_base.jsonl", read_jsonl(kept))
    numbers: Mapping[str, float] = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
    return {name.replace("test/", "base/"): value for name, value in numbers.items()}
