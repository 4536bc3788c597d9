"""Test a finished run again: ``python -m kedrec.evaluate RUN [key=value ...]``.

Without overrides it must come to the run's own numbers, and says whether it does. Overrides ask for another test of the
same weights: ``data.init_args.sources=[pmc]``, ``data.init_args.passage_order=question``, other pairs, another graph.
What was found lies in ``RUN/evaluations/ID/``, the ID a hash of the overrides.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.config import build
from kedrec.errors import KedrecError
from kedrec.runtime.command_line import run_command
from kedrec.storage.atomic_folder import appearing_whole
from kedrec.storage.jsonl import jsonl
from kedrec.training.evaluation_trainer import numbers_of, show, trainer_for_tests
from kedrec.training.loaded_run import FinishedRun, load_best, make_ready, open_run
from kedrec.training.run_folder import HasFacts, answers_of, provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kedrec.config import Built
    from kedrec.graph.vocabulary import Vocabulary

_NAMED = 5  # numbers that are named where some differ


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run)


def _run(arguments: list[str]) -> None:
    evaluate(open_run(arguments[0], arguments[1:]))


def evaluate(run: FinishedRun) -> dict[str, float]:
    """Test the run's weights as its experiment says; return the numbers, ``test/NAME`` -> number."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from kedrec.evaluation.citation_support import judged_answers
    from kedrec.training.base_answers import compared_with_base

    started = time.monotonic()
    built = build(run.experiment)
    make_ready(built.data)
    notes = _what_training_saw(run, built) if "data" in run.overrides else {}
    numbers, weights = _test(run, built)
    answers = answers_of(built.model)
    rows = answers.get("predictions", [])
    numbers |= {**compared_with_base(run.path, rows), **judged_answers(built.data, rows)}
    record = {
        **provenance(),
        "seconds": round(time.monotonic() - started, 2),
        "overrides": run.overrides,
        "weights": str(weights.relative_to(run.path)),
        "run": {name: run.provenance().get(name) for name in ("commit", "versions", "hardware")},
        "data": {**(built.data.facts if isinstance(built.data, HasFacts) else {}), **notes},
    }
    place = run.path / "evaluations" / run.id
    _write(place, run, numbers, answers, record)
    show(numbers, place, "evaluation")
    for note in notes.values():
        print(note)
    if not run.overrides:
        print(_told_apart(numbers, run.metrics))
    return numbers


def _test(run: FinishedRun, built: "Built") -> tuple[dict[str, float], Path]:
    """Return the numbers of the test, and where the weights came from."""
    from lightning import Callback, LightningModule, Trainer, seed_everything

    class BestWeights(Callback):
        """Loads the weights when the parts of the model are made, which may need the data."""

        loaded: Path

        def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.loaded = load_best(run, pl_module)

    seed_everything(run.experiment.tree["seed"], verbose=False)
    weights = BestWeights()
    trainer = trainer_for_tests(built.trainer, [weights])
    trainer.test(built.model, built.data, verbose=False)
    return numbers_of(trainer), weights.loaded


def _write(
    place: Path,
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
    with appearing_whole(place) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")


def _told_apart(numbers: Mapping[str, float], own: Mapping[str, float]) -> str:
    """Return in words whether the numbers are those of the run."""
    before = {name: value for name, value in own.items() if name.startswith("test/")}
    differing = [name for name in sorted({*before, *numbers}) if before.get(name) != numbers.get(name)]
    if not differing:
        return f"all {len(numbers)} numbers are those of the run"
    told = ", ".join(f"{name} {numbers.get(name)} (run: {before.get(name)})" for name in differing[:_NAMED])
    more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
    return f"{len(differing)} of {len(numbers)} numbers differ from the run's: {told}{more}"


def _what_training_saw(run: FinishedRun, built: "Built") -> dict[str, str]:
    """Return, in words, what of other data's test the run was trained on.

    Raises:
        KedrecError: the model's rows stand for other entities than the data's.
    """
    import numpy as np

    from kedrec.graph.vocabulary import HasTriples, HasVocabulary
    from kedrec.kedrec_lm.instruction_data import InstructionData

    data = built.data
    if isinstance(data, HasVocabulary):
        _check_rows(run, data.vocabulary)
    own = build(run.original).data
    make_ready(own)
    if isinstance(data, HasTriples) and isinstance(own, HasTriples):
        kinds, entities = len(data.vocabulary.relations), len(data.vocabulary.entities)

        def numbered(triples: "NDArray[np.int32]") -> "NDArray[np.int64]":
            head, relation, tail = triples.astype(np.int64).T
            number: NDArray[np.int64] = (head * kinds + relation) * entities + tail
            return number

        held = ~np.isin(numbered(own.training_triples), numbered(data.training_triples))
        if held.any():
            return {"seen": f"note: {held.sum():,} triples that these data hold out are ones the run was trained on"}
    if isinstance(data, InstructionData) and isinstance(own, InstructionData):
        trained = {(pair.disease, pair.relevant) for pair in own.pairs if pair.split == "train"}
        asked = [(pair.disease, pair.relevant) for pair in data.pairs if pair.split == "test"]
        if seen := sum(one in trained for one in asked):
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
