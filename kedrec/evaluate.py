"""Test a finished run again: ``python -m kedrec.evaluate RUN [key=value ...]``.

Without overrides it repeats the test, and says whether the metrics are the same. With overrides the same weights are
tested otherwise: ``data.init_args.retrieval.sources=[pmc]``, ``data.init_args.prompt.passage_order=question``, other
pairs, another graph. The results are in ``RUN/evaluations/ID/``, where ID is a hash of the overrides.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.errors import KedrecError
from kedrec.runtime.command_line import run_command
from kedrec.storage.atomic_folder import appearing_whole
from kedrec.storage.jsonl import jsonl
from kedrec.training.evaluation_trainer import show, trainer_for_tests
from kedrec.training.experiment_objects import build
from kedrec.training.loaded_run import FinishedRun, load_best, make_ready, open_run
from kedrec.training.provenance import provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kedrec.graph.vocabulary import Vocabulary
    from kedrec.training.evaluation_results import EvaluationResults
    from kedrec.training.experiment_objects import Built

_LISTED = 5  # differing metrics that are printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run)


def _run(arguments: list[str]) -> None:
    evaluate(open_run(arguments[0], arguments[1:]))


def evaluate(run: FinishedRun) -> dict[str, float]:
    """Test the weights of a run with its experiment; return the metrics, ``test/NAME`` -> number."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from kedrec.training.evaluation_results import answer_metrics

    started = time.monotonic()
    built = build(run.experiment)
    make_ready(built.data)
    notes = _training_overlap(run, built) if "data" in run.overrides else {}
    results, weights = _test(run, built)
    numbers = {**results.metrics, **answer_metrics(results, built, run.path)}
    record = {
        **provenance(),
        "seconds": round(time.monotonic() - started, 2),
        "overrides": run.overrides,
        "weights": str(weights.relative_to(run.path)),
        "run": {name: run.provenance().get(name) for name in ("commit", "versions", "hardware")},
        "data": {**built.data.facts, **notes},
    }
    folder = run.path / "evaluations" / run.id
    _write(folder, run, numbers, results.answers, record)
    show(numbers, folder, built.model.closing_metrics(numbers), "evaluation")
    for note in notes.values():
        print(note)
    if not run.overrides:
        print(_compared(numbers, run.metrics))
    return numbers


def _test(run: FinishedRun, built: "Built") -> "tuple[EvaluationResults, Path]":
    """Return the results of the test, and the file or folder of the weights."""
    from lightning import Callback, LightningModule, Trainer, seed_everything

    from kedrec.training.evaluation_results import run_test

    class BestWeights(Callback):
        """Loads the weights after the model is configured, which may need the data."""

        loaded: Path

        def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.loaded = load_best(run, pl_module)

    seed_everything(run.experiment.tree["seed"], verbose=False)
    weights = BestWeights()
    trainer = trainer_for_tests(built.trainer, [weights])
    return run_test(trainer, built), weights.loaded


def _write(
    folder: Path,
    run: FinishedRun,
    numbers: Mapping[str, float],
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    record: Mapping[str, Any],
) -> None:
    texts = {
        "config.yaml": run.experiment.yaml(),
        "metrics.json": json.dumps(dict(numbers), indent=1) + "\n",
        **{f"{name}.jsonl": jsonl(rows) for name, rows in answers.items()},
        "provenance.json": json.dumps(record, indent=1, default=str) + "\n",
    }
    with appearing_whole(folder) as partial:
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")


def _compared(numbers: Mapping[str, float], own: Mapping[str, float]) -> str:
    """Return in words whether the metrics are the same as those of the run."""
    before = {name: value for name, value in own.items() if name.startswith("test/")}
    differing = [name for name in sorted({*before, *numbers}) if before.get(name) != numbers.get(name)]
    if not differing:
        return f"all {len(numbers)} numbers are those of the run"
    listed = ", ".join(f"{name} {numbers.get(name)} (run: {before.get(name)})" for name in differing[:_LISTED])
    more = f" and {len(differing) - _LISTED} more" if len(differing) > _LISTED else ""
    return f"{len(differing)} of {len(numbers)} numbers differ from the run's: {listed}{more}"


def _training_overlap(run: FinishedRun, built: "Built") -> dict[str, str]:
    """Return a note if the run was trained on test examples of other data.

    Raises:
        KedrecError: the vocabulary of the model differs from that of the data.
    """
    import numpy as np

    from kedrec.kedrec_lm.question_data import QuestionData

    data = built.data
    if data.vocabulary is not None:
        _check_rows(run, data.vocabulary)
    own = build(run.original).data
    make_ready(own)
    held_out_from, trained = data.training_triples, own.training_triples
    if data.vocabulary is not None and held_out_from is not None and trained is not None:
        kinds, entities = len(data.vocabulary.relations), len(data.vocabulary.entities)

        def numbered(triples: "NDArray[np.int32]") -> "NDArray[np.int64]":
            head, relation, tail = triples.astype(np.int64).T
            number: NDArray[np.int64] = (head * kinds + relation) * entities + tail
            return number

        held = ~np.isin(numbered(trained), numbered(held_out_from))
        if held.any():
            return {"seen": f"note: {held.sum():,} held-out triples of these data are in the training set of the run"}
    if isinstance(data, QuestionData) and isinstance(own, QuestionData):
        answered = {(pair.disease, pair.relevant) for pair in own.pairs if pair.split == "train"}
        asked = [(pair.disease, pair.relevant) for pair in data.pairs if pair.split == "test"]
        if seen := sum(one in answered for one in asked):
            return {"seen": f"note: {seen} of {len(asked)} test pairs ask of an answer the run was trained on"}
    return {}


def _check_rows(run: FinishedRun, vocabulary: "Vocabulary") -> None:
    for kind, ids in (("entities", vocabulary.entities), ("relations", vocabulary.relations)):
        for listed in sorted(run.path.glob(f"*/{kind}.tsv")):
            if listed.read_text(encoding="utf-8").splitlines() != ids:
                raise KedrecError(
                    f"{listed}: the run's {kind} are not those of data.init_args.graph; a model of a graph can be "
                    "tested on that graph alone"
                )


if __name__ == "__main__":
    sys.exit(main())
