"""Train with PyKEEN 1.11: its sLCWA training loop, basic negative sampler, NSSA loss, and PyTorch's fused Adagrad.

    python benchmarks/peers/run_pykeen.py --data DIR --scorer transe_l1 --dim 1024 --batch 512 --negatives 128

Every positive has negatives of its own. Two defaults that pass over all entities at each step are off, because the
other trainers have none: the entities' constraint to unit length, and DistMult's regularizer. Gradients are dense:
PyKEEN's embeddings have no sparse ones.
"""

import logging

import numpy as np
import torch
from measure import Clock, read_options, report_clock
from pykeen.losses import NSSALoss
from pykeen.models import DistMult, RotatE, TransE
from pykeen.training import SLCWATrainingLoop, TrainingCallback
from pykeen.triples import CoreTriplesFactory

MODELS = {
    "transe_l1": (TransE, {"scoring_fct_norm": 1, "entity_constrainer": None}),
    "transe_l2": (TransE, {"scoring_fct_norm": 2, "entity_constrainer": None}),
    "distmult": (DistMult, {"entity_constrainer": None, "regularizer": None}),
    "rotate": (RotatE, {}),
}


class TimeIsUpError(Exception):
    """Ends the training loop in the middle of an epoch."""


class ClockCallback(TrainingCallback):
    """Ticks before each batch."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def pre_batch(self, **_):
        """Count the batch before this one."""
        if self.clock.tick():
            raise TimeIsUpError


def main():
    """Train until the time is up and print the line."""
    options = read_options(__doc__)
    logging.getLogger("pykeen").setLevel(logging.ERROR)
    torch.set_num_threads(options.threads)
    factory = CoreTriplesFactory.create(torch.from_numpy(np.load(options.data / "train.npy").astype(np.int64)))
    kind, settings = MODELS[options.scorer]
    model = kind(triples_factory=factory, embedding_dim=options.dim, loss=NSSALoss(), random_seed=0, **settings)
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=torch.optim.Adagrad(model.parameters(), lr=0.1, fused=True),
        negative_sampler="basic",
        negative_sampler_kwargs={"num_negs_per_pos": options.negatives},
    )
    clock = Clock(options.seconds)
    try:
        loop.train(factory, num_epochs=100, batch_size=options.batch, callbacks=ClockCallback(clock), use_tqdm=False)
    except TimeIsUpError:
        report_clock("PyKEEN", options, clock, "negatives of its own a positive, self-adversarial, dense fused Adagrad")


if __name__ == "__main__":
    main()
