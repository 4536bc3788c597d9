"""What sharing negatives costs: the filtered MRR of training settings, on one graph, over seeds.

    python benchmarks/kge_quality.py GRAPH --scorers transe_l1 distmult --settings adam:.001:32:1024 adagrad:.1:128:8

A setting is OPTIMIZER:RATE:NEGATIVES:CHUNKS; as many chunks as a batch has triples make negatives independent, and
with dense Adam that is how the authors train. GRAPH is a folder with train.txt, valid.txt and test.txt, or one of
triples, of which ``--held-out`` random ones are held out twice, for validation and test. Rates are to be chosen by the
column "validation"; seeds differ in first values, order and corruptions, not in the split. Seconds are of training.
``--out`` adds each row to a file of JSON lines, which `benchmarks/kge.py --quality` shows beside its speeds.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kedrec.runtime.environment import prepare_environment


@dataclass(frozen=True)
class Setting:
    """How a model is trained."""

    optimizer: str
    rate: float
    negatives: int
    chunks: int

    @classmethod
    def parse(cls, text: str) -> "Setting":
        """Read OPTIMIZER:RATE:NEGATIVES:CHUNKS."""
        optimizer, rate, negatives, chunks = text.split(":")
        return cls(optimizer, float(rate), int(negatives), int(chunks))


def main() -> None:
    """Print a row for each scorer and setting as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--scorers", nargs="+", default=["transe_l1", "distmult"])
    parser.add_argument("--settings", nargs="+", type=Setting.parse, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--held-out", type=int, default=5000)
    parser.add_argument("--out", type=Path, help="JSON lines, one a scorer and setting")
    options = parser.parse_args()
    prepare_environment()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print("| scorer | optimiser | rate | negatives | chunks | validation | test | Hits@10 | seconds |", flush=True)
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = split(options.graph, options.held_out, Path(scratch))
        for scorer in options.scorers:
            for setting in options.settings:
                runs = [run(folder, scorer, setting, seed, options) for seed in range(options.seeds)]
                cells = [spread(column) for column in list(zip(*runs, strict=True))[:3]]
                seconds = statistics.median(run[3] for run in runs)
                shown = f"{setting.optimizer} | {setting.rate:g} | {setting.negatives} | {setting.chunks}"
                print(f"| {scorer} | {shown} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)
                if options.out:
                    row = {"scorer": scorer, **asdict(setting), "dim": options.dim, "batch": options.batch}
                    row |= {"steps": options.steps, "mrr": [run[1] for run in runs]}
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")


def spread(values: tuple[float, ...]) -> str:
    """Return mean ± standard deviation."""
    return f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")


def split(graph: Path, held_out: int, scratch: Path) -> Path:
    """Return a folder whose graph is split."""
    import numpy as np

    from kedrec.graph.knowledge_graph import load_graph
    from kedrec.splits.split_folder import is_split_folder
    from kedrec.storage.artifact_store import Store

    if is_split_folder(graph):
        return graph
    known = load_graph(graph, Store())
    order = np.random.default_rng(0).permutation(len(known.triples))
    parts = {"valid": order[:held_out], "test": order[held_out : 2 * held_out], "train": order[2 * held_out :]}
    for name, rows in parts.items():
        with (scratch / f"{name}.txt").open("w", encoding="utf-8") as file:
            for head, relation, tail in known.triples[rows]:
                file.write(f"{known.entities[head]}\t{known.relations[relation]}\t{known.entities[tail]}\n")
    return scratch


def run(
    folder: Path, scorer: str, setting: Setting, seed: int, options: argparse.Namespace
) -> tuple[float, float, float, float]:
    """Train; return the MRR of validation, MRR and Hits@10 of the test, and the seconds of the training."""
    from lightning import Trainer

    from kedrec.lladr.kge import KGE
    from kedrec.lladr.kge_settings import OptimizerSettings
    from kedrec.lladr.triple_data import TripleData
    from kedrec.lladr.triple_settings import LoaderSettings, NegativeSettings

    data = TripleData(
        str(folder),
        relations=[],
        loader=LoaderSettings(batch_size=options.batch),
        negatives=NegativeSettings(count=setting.negatives, chunks=setting.chunks),
        seed=seed,
    )
    model = KGE(
        scorer,  # type: ignore[arg-type]
        dim=options.dim,
        optimizer=OptimizerSettings(setting.optimizer, setting.rate),  # type: ignore[arg-type]
        seed=seed,
    )
    trainer = Trainer(
        accelerator="cpu",
        max_steps=options.steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    data.setup("fit")
    start = time.perf_counter()
    trainer.fit(model, data)
    seconds = time.perf_counter() - start
    found = {
        part: measure(model, loader, data.vocabulary.relations)
        for part, loader in (("validation", data.val_dataloader()), ("pairs", data.test_dataloader()))
    }
    test = found["pairs"]
    return found["validation"]["validation/all/mrr"], test["pairs/all/mrr"], test["pairs/all/hits@10"], seconds


def measure(model, loader, relations):  # type: ignore[no-untyped-def]
    """Return the metrics of full filtered ranking."""
    import torch

    from kedrec.evaluation.link_prediction_metrics import RankingReport

    report = RankingReport(0, relations)
    with torch.inference_mode():
        for batch in loader:
            report.add(model.scores(batch), batch)
    return report.metrics()


if __name__ == "__main__":
    main()
