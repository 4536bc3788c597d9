"""One test of a model: its metrics and its answers, for the commands that train and that evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.errors import KedrecError
from kedrec.evaluation.citation_support import answers_support
from kedrec.training.base_answers import compared_with_base
from kedrec.training.evaluation_trainer import numbers_of
from kedrec.training.experiment_objects import Built

if TYPE_CHECKING:
    from lightning import Trainer

    from kedrec.training.base_classes import Rows


@dataclass(frozen=True)
class EvaluationResults:
    """What a test gave.

    Attributes:
        metrics: that the model logged, ``test/NAME`` -> number.
        answers: rows of the test, by the stem of their JSONL file.
    """

    metrics: dict[str, float]
    answers: "Rows"


def run_test(trainer: "Trainer", built: Built) -> EvaluationResults:
    """Test a model on its data; each process of the trainer must call it."""
    trainer.test(built.model, built.data, verbose=False)
    return EvaluationResults(numbers_of(trainer), built.model.answers)


def answer_metrics(results: EvaluationResults, built: Built, run_folder: Path) -> dict[str, float]:
    """Return further ``test/...`` metrics of the answers: against the untrained base, and the support of citations.

    Args:
        results: of `run_test`.
        built: what was tested; the data name the models that score citations.
        run_folder: with the answers of the base, where it was scored.

    Raises:
        KedrecError: a metric from outside the package has the name of one of these.
    """
    rows: Sequence[dict[str, Any]] = results.answers["predictions"]
    cited = answers_support(rows, built.data.citation_encoder, built.data.entailment)
    further = {**compared_with_base(run_folder, rows), **cited}
    for name in sorted(further.keys() & results.metrics.keys()):
        raise KedrecError(
            f"model.init_args.metrics: a metric {name.removeprefix('test/')!r} exists already; give yours another name"
        )
    return further
