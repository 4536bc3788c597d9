"""kedrec, through its Lightning module and trainer, logging and progress bar on.

python benchmarks/peers/run_kedrec.py --data DIR --scorer transe_l1 --dim 1024 --batch 512 --negatives 128 --seconds 20
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from measure import Clock, report_clock


def main() -> None:
    """Train for the given time and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scorer", required=True)
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--negatives", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--optimizer", default="adagrad")
    parser.add_argument("--anchor", action="store_true", help="with a text anchor and its loss, as LLaDR")
    parser.add_argument("--plain", action="store_true", help="without compiled tiles")
    parser.add_argument("--source", help="unused: kedrec is what the interpreter imports")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    measure(options)


def measure(options: argparse.Namespace) -> None:
    """Train until the time is up and print the line."""
    import torch
    from lightning import Callback, Trainer
    from lightning.pytorch.loggers import CSVLogger

    from kedrec.graph.vocabulary import Modality, Vocabulary
    from kedrec.lladr.kge import KGE
    from kedrec.lladr.kge_settings import AnchorLossSettings, OptimizerSettings
    from kedrec.lladr.negative_sampling import TripleBatches, subsampling_weights
    from kedrec.lladr.triple_settings import NegativeSettings
    from kedrec.training.base_classes import ExperimentData

    torch.set_num_threads(options.threads)
    triples = np.load(options.data / "train.npy").astype(np.int32)
    entities, relations = int(triples[:, ::2].max()) + 1, int(triples[:, 1].max()) + 1

    class Workload(ExperimentData):
        def __init__(self) -> None:
            super().__init__()
            anchors = []
            if options.anchor:
                draw = np.random.default_rng(0)
                vectors = draw.standard_normal((entities, options.dim // 2), dtype=np.float32) / options.dim**0.5
                anchors = [Modality(name, vectors, np.ones(entities, bool)) for name in ("name", "description")]
            names = [str(row) for row in range(entities)]
            self.vocabulary = Vocabulary(names, [str(row) for row in range(relations)], names, anchors)

        def train_dataloader(self) -> TripleBatches:
            weights = torch.from_numpy(subsampling_weights(triples, relations))
            sizes = (NegativeSettings(options.negatives, options.chunks), options.batch)
            return TripleBatches(torch.from_numpy(triples), weights, None, entities, *sizes, None, seed=0)

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            trainer.should_stop = clock.tick()

    clock = Clock(options.seconds)
    model = KGE(
        options.scorer,
        dim=options.dim,
        anchor=AnchorLossSettings("cosine" if options.anchor else None),
        optimizer=OptimizerSettings(options.optimizer, 0.1 if options.optimizer == "adagrad" else 1e-3),
        compiled=not options.plain,
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_steps=1_000_000,
            logger=CSVLogger(folder),
            log_every_n_steps=50,
            callbacks=[Stop()],
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(model, Workload())
    settings = f"{options.chunks} chunks, {options.optimizer}{', anchor' if options.anchor else ''}"
    shared = {"optimizer": options.optimizer, "negatives": options.negatives, "chunks": options.chunks}
    report_clock("kedrec", options, clock, settings, trains_by=shared)


if __name__ == "__main__":
    main()
