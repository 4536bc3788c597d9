"""Train with PyTorch Geometric's `torch_geometric.nn.kge`: its loader, models and negative sampler; Adagrad.

    python benchmarks/peers/run_pyg.py --data DIR --scorer transe_l1 --dim 1024 --batch 512 --negatives 128

Its own loss has one negative a positive. For more of them the sampler is given each positive that often, and the
positives are scored once; the loss is the logistic one that its RotatE has.
"""

import numpy as np
import torch
from measure import measure, read_options
from torch.nn.functional import logsigmoid
from torch_geometric.nn.kge import DistMult, RotatE, TransE

MODELS = {
    "transe_l1": (TransE, {"p_norm": 1.0}),
    "transe_l2": (TransE, {"p_norm": 2.0}),
    "distmult": (DistMult, {}),
    "rotate": (RotatE, {}),
}


def main():
    """Train until the time is up and print the line."""
    options = read_options(__doc__)
    torch.set_num_threads(options.threads)
    rows = torch.from_numpy(np.load(options.data / "train.npy").astype(np.int64))
    entities, relations = int(rows[:, [0, 2]].max()) + 1, int(rows[:, 1].max()) + 1
    kind, settings = MODELS[options.scorer]
    model = kind(entities, relations, options.dim, **settings)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1, fused=True)
    batches = iter(model.loader(*rows.T, batch_size=options.batch, shuffle=True, drop_last=True))

    def step():
        optimizer.zero_grad()
        batch = next(batches)
        corrupted = model.random_sample(*(column.repeat(options.negatives) for column in batch))
        loss = -(logsigmoid(model(*batch)).mean() + logsigmoid(-model(*corrupted)).mean())
        loss.backward()
        optimizer.step()

    measure("PyG", options, step, "negatives of its own a positive, logistic loss, dense fused Adagrad")


if __name__ == "__main__":
    main()
