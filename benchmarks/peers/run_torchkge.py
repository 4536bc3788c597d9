"""Train with TorchKGE 0.17: its models, uniform negative sampler, logistic loss and training step; fused Adagrad.

    python benchmarks/peers/run_torchkge.py --data DIR --scorer transe_l1 --dim 1024 --batch 512 --negatives 128

Its trainer draws one negative a positive; here its sampler draws the batch's, which its models take. Gradients are
dense: its embeddings have no sparse ones.
"""

import numpy as np
import torch
from measure import measure, read_options, unsupported
from torchkge.data_structures import KnowledgeGraph
from torchkge.models import DistMultModel, TransEModel
from torchkge.sampling import UniformNegativeSampler
from torchkge.utils import LogisticLoss
from torchkge.utils.data import DataLoader
from torchkge.utils.training import Trainer

PEER = "TorchKGE"


def read_graph(data):
    """Return the workload as TorchKGE's graph."""
    rows = torch.from_numpy(np.load(data / "train.npy").astype(np.int64))
    entities = {index: index for index in range(int(rows[:, [0, 2]].max()) + 1)}
    relations = {index: index for index in range(int(rows[:, 1].max()) + 1)}
    triples = {"heads": rows[:, 0].clone(), "tails": rows[:, 2].clone(), "relations": rows[:, 1].clone()}
    return KnowledgeGraph(kg=triples, ent2ix=entities, rel2ix=relations)


def main():
    """Train until the time is up and print the line."""
    options = read_options(__doc__)
    if options.scorer == "rotate":
        unsupported(PEER, "it has no RotatE")
    torch.set_num_threads(options.threads)
    graph = read_graph(options.data)
    if options.scorer == "distmult":
        model = DistMultModel(options.dim, graph.n_ent, graph.n_rel)
    else:
        model = TransEModel(options.dim, graph.n_ent, graph.n_rel, dissimilarity_type=options.scorer[-2:].upper())
    sampler = UniformNegativeSampler(graph, n_neg=options.negatives)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1, fused=True)
    trainer = Trainer(model, LogisticLoss(), graph, 1, options.batch, optimizer)
    batches = iter(DataLoader(graph, batch_size=options.batch))

    def step():
        heads, tails, relations = next(batches)
        corrupted_heads, corrupted_tails = sampler.corrupt_batch(heads, tails, relations)
        batch = {"h": heads, "t": tails, "r": relations, "nh": corrupted_heads, "nt": corrupted_tails}
        trainer.process_batch(batch)

    measure(PEER, options, step, "negatives of its own a positive, logistic loss, dense fused Adagrad")


if __name__ == "__main__":
    main()
