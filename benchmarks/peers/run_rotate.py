"""Train with the RotatE code (DeepGraphLearning/KnowledgeGraphEmbedding): its data loader, scores, loss and dense Adam.

    python benchmarks/peers/run_rotate.py --source codes --data DIR --scorer transe_l1 --dim 1024 --batch 512 \
        --negatives 128

``--source`` is the repository's folder ``codes``. As its run.py with ``-adv``, and ``-de`` for RotatE. Every positive
has negatives of its own, filtered by the training triples.
"""

import sys

import torch
from measure import measure, read_options, unsupported
from rotate_data import GAMMA, MODELS, step_arguments, training_batches

PEER = "RotatE code"


def main():
    """Train until the time is up and print the line."""
    options = read_options(__doc__)
    if options.scorer not in MODELS:
        unsupported(PEER, "its TransE has the L1 norm only")
    sys.path.insert(0, str(options.source))
    from model import KGEModel

    torch.set_num_threads(options.threads)
    entities, relations, batches = training_batches(options)
    model = KGEModel(
        MODELS[options.scorer],
        entities,
        relations,
        options.dim,
        GAMMA,
        double_entity_embedding=options.scorer == "rotate",
    )
    optimizer = torch.optim.Adam(filter(lambda weight: weight.requires_grad, model.parameters()), lr=0.0001)
    args = step_arguments(adversarial=True)
    settings = "as shipped: filtered negatives of its own a positive, self-adversarial, dense Adam"
    measure(PEER, options, lambda: KGEModel.train_step(model, optimizer, batches, args), settings)


if __name__ == "__main__":
    main()
