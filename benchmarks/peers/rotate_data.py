"""What the RotatE code and LLaDR's share: the data loaders of run.py, and the arguments of the training step."""

import argparse
import os

import numpy as np
from torch.utils.data import DataLoader

MODELS = {"transe_l1": "TransE", "distmult": "DistMult", "rotate": "RotatE"}
GAMMA = 12.0


def training_batches(options):
    """Return the sizes and the endless iterator over batches, heads and tails corrupted in turns, as in run.py.

    ``--cpu_num THREADS`` is given, so that each of the two loaders has ``THREADS // 2`` worker processes.
    """
    from dataloader import BidirectionalOneShotIterator, TrainDataset

    rows = np.load(options.data / "train.npy")
    entities, relations = int(rows[:, [0, 2]].max()) + 1, int(rows[:, 1].max()) + 1
    triples = list(map(tuple, rows.tolist()))
    loaders = [
        DataLoader(
            TrainDataset(triples, entities, relations, options.negatives, mode),
            batch_size=options.batch,
            shuffle=True,
            num_workers=max(1, options.threads // 2),
            collate_fn=TrainDataset.collate_fn,
        )
        for mode in ("head-batch", "tail-batch")
    ]
    return entities, relations, BidirectionalOneShotIterator(*loaders)


def step_arguments(adversarial):
    """Return what the training step reads of run.py's arguments."""
    return argparse.Namespace(
        cuda=False,
        negative_adversarial_sampling=adversarial,
        adversarial_temperature=1.0,
        uni_weight=False,
        regularization=0.0,
        log_file_path=os.devnull,
    )
