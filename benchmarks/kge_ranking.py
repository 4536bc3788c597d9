"""Ranking with embeddings against PyKEEN's evaluator, and LLaDR's protocol against its authors' loop.

    python benchmarks/kge_workload.py FOLDER
    python benchmarks/kge_ranking.py --data FOLDER [--authors FOLDER_WITH_run_transe_filtered.py]

Random embeddings on the workload's triples; rounds alternate, medians of triples a second (both sides ranked) are
printed. The asked triples are drawn from those of a few relations between 5,000 drugs and 5,100 diseases, as DRKG's
therapeutic ones are, so that many ask the same query. PyKEEN and the authors' loop get fewer triples: they are slow.
"""

import argparse
import contextlib
import importlib.util
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kedrec.runtime.environment import prepare_environment

DRUGS, DISEASES, RELATIONS = 5000, 5100, 3


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that kge_workload.py has written")
    parser.add_argument("--scorers", nargs="+", default=["distmult", "transe_l1"])
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--triples", type=int, default=8000, help="asked of kedrec")
    parser.add_argument("--peer-triples", type=int, default=64, help="asked of PyKEEN; the authors' loop gets 8 times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--authors", type=Path, help="folder of the authors' evaluate/ scripts")
    options = parser.parse_args()
    prepare_environment()
    import torch

    torch.set_num_threads(2)
    work = Work(options)
    print("| scorer | what | triples a second | kedrec's ratio |\n|---|---|---|---|")
    for scorer in options.scorers:
        contenders = {"kedrec, full filtered ranking": lambda s=scorer: work.kedrec(s)}
        contenders["PyKEEN, full filtered ranking"] = lambda s=scorer: work.pykeen(s)
        if scorer == "transe_l1" and options.authors:
            contenders["kedrec, 49 candidates, five draws and expectation"] = lambda s=scorer: work.protocol(s)
            contenders["the authors' loop, 49 candidates, one draw"] = lambda: work.authors(options.authors)
        report(scorer, contenders, options.rounds)


def report(scorer: str, contenders: dict[str, Callable[[], float]], rounds: int) -> None:
    """Run contenders in turn and print their medians; each second one is compared with the one before."""
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            speeds[name].append(run())
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    names = list(middle)
    for place, (name, speed) in enumerate(middle.items()):
        ratio = f"{middle[names[place - 1]] / speed:.0f}" if place % 2 else ""
        print(f"| {scorer} | {name} | {speed:,.1f} | {ratio} |", flush=True)


class Work:
    """Random embeddings, and what is asked of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.dim, self.peer_triples = options.dim, options.peer_triples
        train = np.load(options.data / "train.npy").astype(np.int32)
        self.entities, self.relations = int(train[:, ::2].max()) + 1, int(train[:, 1].max()) + 1
        draw = np.random.default_rng(0)
        drug = (DRUGS * draw.random(20_000) ** 3).astype(np.int32)
        disease = (DRUGS + DISEASES * draw.random(20_000) ** 3).astype(np.int32)
        relation = draw.integers(0, RELATIONS, 20_000, dtype=np.int32)
        told = np.unique(np.stack([drug, relation, disease], axis=1), axis=0)
        self.asked = draw.permutation(told)[: options.triples]
        self.train = np.concatenate([train[train[:, 1] >= RELATIONS], told])
        self.types = np.full(self.entities, 2)
        self.types[:DRUGS], self.types[DRUGS : DRUGS + DISEASES] = 0, 1

    def model(self, scorer: str):
        """Return kedrec's model with its first values."""
        from kedrec.lladr.kge import KGE
        from kedrec.lladr.kge_settings import OptimizerSettings

        model = KGE(scorer, dim=self.dim, optimizer=OptimizerSettings("adam"))
        model.make_tables(self.entities, self.relations)
        return model

    def batches(self, triples: np.ndarray):
        """Return the queries of triples."""
        from kedrec.lladr.ranking_queries import KnownAnswers, ranking_batches

        known = KnownAnswers(self.train, self.relations)
        return ranking_batches("test", triples, self.types, np.ones(self.entities, np.int64), known, 512)

    def kedrec(self, scorer: str, sampled: bool = False) -> float:
        """Rank both sides; return triples a second, the making of queries and of metrics included."""
        import torch

        from kedrec.evaluation.link_prediction_metrics import RankingReport

        model = self.model(scorer)

        def rank(triples: np.ndarray) -> None:
            ranking = RankingReport(0, [""] * self.relations)
            with torch.inference_mode():
                for batch in self.batches(triples):
                    if not sampled:
                        ranking.add(model.scores(batch), batch)
                    elif batch.side == "tail":
                        scores = model.scores(batch, batch.candidates)
                        ranking.add(scores, batch.among_candidates(), sampled=True)
            ranking.metrics()

        rank(self.asked[:2000])  # compiles
        start = time.perf_counter()
        rank(self.asked)
        return len(self.asked) / (time.perf_counter() - start)

    def protocol(self, scorer: str) -> float:
        """Rank the tails by LLaDR's protocol, both variants, five draws each and all of them in expectation."""
        return self.kedrec(scorer, sampled=True)

    def pykeen(self, scorer: str) -> float:
        """Evaluate with PyKEEN; return triples a second."""
        import torch
        from pykeen.evaluation import RankBasedEvaluator
        from pykeen.models import DistMult, TransE
        from pykeen.triples import CoreTriplesFactory

        def factory(triples: np.ndarray) -> CoreTriplesFactory:
            return CoreTriplesFactory(torch.from_numpy(triples).long(), self.entities, self.relations)

        known = factory(self.train)
        kind, extra = (DistMult, {}) if scorer == "distmult" else (TransE, {"scoring_fct_norm": 1})
        model = kind(triples_factory=known, embedding_dim=self.dim, random_seed=0, **extra)
        evaluator = RankBasedEvaluator(filtered=True)

        def rank(triples: np.ndarray) -> None:
            evaluator.evaluate(
                model,
                factory(triples).mapped_triples,
                additional_filter_triples=[known.mapped_triples],
                batch_size=16,
                use_tqdm=False,
            )

        rank(self.asked[:16])
        start = time.perf_counter()
        rank(self.asked[: self.peer_triples])
        return self.peer_triples / (time.perf_counter() - start)

    def authors(self, folder: Path) -> float:
        """Run the authors' loop over the tails; return triples a second."""
        import pandas as pd
        import torch

        spec = importlib.util.spec_from_file_location("authors", folder / "run_transe_filtered.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = self.model("transe_l1")
        rows = pd.DataFrame(
            {"id": np.arange(self.entities, dtype=np.int32)}, index=[f"e{row}" for row in range(self.entities)]
        )
        kinds = pd.DataFrame({"id": np.arange(self.relations)}, index=[f"r{row}" for row in range(self.relations)])
        asked = self.asked[: 8 * self.peer_triples]
        named = {"head": [f"e{h}" for h, _, _ in asked], "relation": [f"r{r}" for _, r, _ in asked]}
        frame = pd.DataFrame({**named, "tail": [f"e{t}" for _, _, t in asked]})
        pool = pd.DataFrame({"new_tail": [f"e{row}" for row in range(DRUGS, DRUGS + DISEASES)]})
        tables = (model.entity.weight.detach(), model.relation.weight.detach())
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            module.evaluate_triples(frame, rows, kinds, *tables, pool, torch.device("cpu"))
        return len(asked) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
