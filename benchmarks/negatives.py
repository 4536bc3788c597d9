"""Kinds of irrelevant drugs: how many another source contests, and how alike they are, and their pairs for students.

    python benchmarks/negatives.py GRAPH --run gnn=RUN --run lladr=RUN --indications TSV --out DIR

Kinds are ``random``, ``popular``, ``similar`` (neighbours shared in the graph) and one for each run's embeddings. All
have the same true pairs and splits. With ``--out``, ``DIR/KIND.parquet`` holds training and validation pairs of that
kind and the test pairs of all kinds, so that students of different training are asked the same:
``data.init_args.pairs.file=DIR/KIND.parquet data.init_args.rationales=null``. ``--by-kind PREDICTIONS`` prints the F1
that a run's predictions have on each kind's test pairs.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph")
    parser.add_argument("--run", action="append", default=[], help="NAME=FOLDER of a KGE's or GNN's run")
    parser.add_argument("--indications", help="TSV of drug and disease, a second source")
    parser.add_argument("--limits", type=int, nargs=3, metavar=("TRAIN", "VALIDATION", "TEST"))
    parser.add_argument("--one-by-one", action="store_true", help="draw each drug alone, not as a balanced deal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--by-kind", type=Path, metavar="PREDICTIONS", help="of a run on DIR/KIND.parquet; needs --out")
    options = parser.parse_args()
    kinds = sampled(options)
    if options.out:
        write(kinds, options.out)
    if options.by_kind:
        show_by_kind(kinds, options.by_kind)
        return
    from kedrec.kedrec_lm.indications import contested, load_indications

    told = load_indications(options.indications) if options.indications else set()
    print("| negatives | pairs | distinct drugs | contested | of the true pairs, told by the same source |")
    print("|---|---|---|---|---|")
    for kind, pairs in kinds.items():
        wrong = len(contested(pairs, told))
        true = sum((pair.relevant, pair.disease) in told for pair in pairs)
        distinct = len({pair.irrelevant for pair in pairs})
        print(f"| {kind} | {len(pairs)} | {distinct} | {wrong} ({wrong / len(pairs):.1%}) | {true} |")


def sampled(options: argparse.Namespace):
    """Return kind -> pairs."""
    from named_graph import load_named

    from kedrec.graph.synonyms import merge_synonyms
    from kedrec.graph.trained_embeddings import Exported
    from kedrec.kedrec_lm.pair_sampling import sample_pairs
    from kedrec.splits.split_creation import split_treatments

    graph, _, kept = load_named(options.graph)
    graph = merge_synonyms(graph, kept)
    compounds = [graph.entities[row] for row in graph.of_type("Compound")]
    sources = {"random": ("random", None), "popular": ("popular", None), "similar": ("similar", None)}
    for told in options.run:
        name, _, folder = told.partition("=")
        sources[name] = ("similar", Exported.load(folder).rows(compounds))
    manifest = split_treatments(graph, split_by="disease", validation=0.05, test=0.1, seed=options.seed)
    names = ("train", "validation", "test")
    limit = dict(zip(names, options.limits, strict=True)) if options.limits else None
    return {
        name: sample_pairs(
            graph,
            manifest,
            negatives=kind,
            balanced=not options.one_by_one,
            seed=options.seed,
            limit=limit,
            embedding=embedding,
        )
        for name, (kind, embedding) in sources.items()
    }


def write(kinds, folder: Path) -> None:
    """Write the pairs of each kind, with the tests of all."""
    from kedrec.splits.pairs import save_pairs

    folder.mkdir(parents=True, exist_ok=True)
    tests = [pair for pairs in kinds.values() for pair in pairs if pair.split == "test"]
    # A drug that several kinds draw for the same true pair is asked about once.
    once = {(pair.disease, pair.relevant, pair.irrelevant): replace(pair, provenance="test") for pair in tests}
    for kind, pairs in kinds.items():
        save_pairs([*(pair for pair in pairs if pair.split != "test"), *once.values()], folder / f"{kind}.parquet")


def show_by_kind(kinds, predictions: Path) -> None:
    """Print the metrics of the choice on the test pairs of each kind."""
    from kedrec.evaluation.choice_metrics import choice_metrics

    rows = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    print("| tested on | pairs | F1 | interval | flip rate | nearest passage |\n|---|---|---|---|---|---|")
    for kind, pairs in kinds.items():
        wanted = Counter(f"{p.disease}|{p.relevant}|{p.irrelevant}" for p in pairs if p.split == "test")
        found = choice_metrics([row for row in rows if row["pair"] in wanted])
        bounds = f"{found['f1_low']:.3f}-{found['f1_high']:.3f}"
        shown = f"{found['f1']:.3f} | {bounds} | {found['flip_rate']:.3f} | {found['heuristic_nearest_passage']:.3f}"
        print(f"| {kind} | {len(wanted)} | {shown} |")


if __name__ == "__main__":
    main()
