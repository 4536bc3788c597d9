"""A metric from outside the package in the test of a graph model."""

from kedrec.config import compose
from kedrec.evaluation.added_metrics import Metric
from kedrec.training.evaluation_trainer import numbers_of, trainer_for_tests
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY


class Ranked(Metric):
    """How many diseases have ranked compounds."""

    def compute(self, rows):
        return {"ranked_diseases": sum(len(row["compounds"]) > 1 for row in rows)}


def test_it_is_computed_from_the_predictions(tmp_path, store):
    overrides = [
        f"out={tmp_path}",
        f"graph={REPOSITORY / 'examples' / 'own_data'}",
        f"model.init_args.metrics=[{{class_path: {__name__}.Ranked}}]",
        "model.init_args.dim=8",
        "data.init_args.split.unseen_diseases=4",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
    ]
    built = build(compose(REPOSITORY / "experiments" / "transe_base.yaml", overrides))
    trainer = trainer_for_tests(built.trainer)
    trainer.test(built.model, built.data, verbose=False)
    assert numbers_of(trainer)["test/ranked_diseases"] == len(built.model.predictions) > 0
    assert built.model.added_metrics == ["ranked_diseases"]
