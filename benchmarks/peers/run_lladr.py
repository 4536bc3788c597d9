"""Train with the code of LLaDR's authors (xiaomingaaa/LLaDR): its data loader, scores, loss and dense Adam.

    python benchmarks/peers/run_lladr.py --source train --data DIR --scorer transe_l1 --dim 1024 --batch 512 \
        --negatives 128

``--source`` is the repository's folder ``train``. As its run.py with its defaults (``-de`` for RotatE), less what that
does between steps: logging to W&B, log files, checkpoints. Random numbers stand for the text vectors.
"""

import sys

import torch
from measure import measure, read_options, unsupported
from rotate_data import GAMMA, MODELS, step_arguments, training_batches

PEER = "LLaDR's authors"
DEFAULTS = {"rho": 0.6, "zeta_2": 0.5, "zeta_3": 1.8, "distance_metric": "cosine", "text_dist_constraint": "true"}


def main():
    """Train until the time is up and print the line."""
    options = read_options(__doc__)
    if options.scorer not in MODELS:
        unsupported(PEER, "its TransE has the L1 norm only")
    sys.path.insert(0, str(options.source))
    from model_common import LLaDR

    torch.set_num_threads(options.threads)
    entities, relations, batches = training_batches(options)
    double = options.scorer == "rotate"
    model = LLaDR(
        MODELS[options.scorer],
        entities,
        relations,
        options.dim,
        GAMMA,
        double_entity_embedding=double,
        double_relation_embedding=False,
        entity_text_embeddings=torch.randn(entities, options.dim * (2 if double else 1)),
        **DEFAULTS,
    )
    optimizer = torch.optim.Adam(filter(lambda weight: weight.requires_grad, model.parameters()), lr=0.0001)
    args = step_arguments(adversarial=False)
    settings = "as shipped: filtered negatives of its own a positive, text distance, dense Adam"
    measure(PEER, options, lambda: LLaDR.train_step(model, optimizer, batches, args), settings)


if __name__ == "__main__":
    main()
