"""An embedding that is tested without training: the names of its metrics and the fields of its rows are a run's."""

import functools

from kedrec.config import compose
from kedrec.splits.pairs import Pair, save_pairs
from kedrec.training.evaluation_trainer import numbers_of, trainer_for_tests
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY

GRAPH = REPOSITORY / "examples" / "own_data"
ASTHMA, GOUT = "Disease::MESH:D001249", "Disease::MESH:D006073"


@functools.cache
def untrained_graph_model(folder, with_pairs=False):
    """The metrics, predictions and ranks of a test on the example's graph.

    Args:
        folder: for the file of pairs.
        with_pairs: hold out and score a student's pairs, in place of a split by seed.
    """
    overrides = [f"out={folder / 'run'}", f"graph={GRAPH}", "model.init_args.dim=8", "trainer.accelerator=cpu"]
    if with_pairs:
        pairs = [
            Pair(ASTHMA, "Compound::DB01001", "Compound::DB00437", "test", True, ""),
            Pair(GOUT, "Compound::DB00437", "Compound::DB01001", "test", True, ""),
        ]
        save_pairs(pairs, folder / "pairs.parquet")
        overrides.append(f"data.init_args.pairs.file={folder / 'pairs.parquet'}")
    else:
        overrides += ["data.init_args.split.test=0.4", "data.init_args.split.unseen_diseases=4", "seed=1"]
    built = build(
        compose(REPOSITORY / "experiments" / "transe_base.yaml", [*overrides, "trainer.enable_progress_bar=false"])
    )
    trainer = trainer_for_tests(built.trainer)
    trainer.test(built.model, built.data, verbose=False)
    return numbers_of(trainer), built.model.predictions, built.model.records["ranks"]
