"""A second source of (drug, disease): what trials tried, by exact names, for `benchmarks/negatives.py --indications`.

    python benchmarks/trial_indications.py GRAPH trials_phase123.csv.zst > trials.tsv

A trial's drugs and diseases are found in the graph by any of their names, letter case aside; a trial of two drugs in
two diseases gives four pairs. A trial is no indication: it says that somebody thought the drug worth trying.
"""

import argparse
import ast
import csv
import sys
from pathlib import Path


def main() -> None:
    """Print one pair a line; say on stderr how many trials and pairs there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph")
    parser.add_argument("trials", type=Path, help="CSV with the columns diseases and drugs, plain, .gz or .zst")
    options = parser.parse_args()

    from kedrec.storage.compressed_text import text_lines

    rows = list(csv.DictReader(f"{content}\n" for _, content in text_lines(options.trials)))
    ids = ids_of_names(options.graph)
    pairs: set[tuple[str, str]] = set()
    for row in rows:
        drugs, diseases = (
            {ids.get((kind, name.lower())) for name in ast.literal_eval(row[column])} - {None}
            for kind, column in (("Compound", "drugs"), ("Disease", "diseases"))
        )
        pairs |= {(drug, disease) for drug in drugs for disease in diseases}
    for drug, disease in sorted(pairs):
        print(drug, disease, sep="\t")
    print(f"{len(rows):,} rows of trials, {len(pairs):,} pairs", file=sys.stderr)


def ids_of_names(place: str) -> dict[tuple[str, str], str]:
    """Return (type, name in lower case) -> entity, namesakes merged as they are for pairs."""
    from named_graph import load_named

    graph, spoken, kept = load_named(place)
    ids: dict[tuple[str, str], str] = {}
    for row, entity in enumerate(graph.entities):
        kind = entity.partition("::")[0]
        if kind in ("Compound", "Disease"):
            for name in spoken[entity]:
                ids.setdefault((kind, name.lower()), graph.entities[kept[row]])
    return ids


if __name__ == "__main__":
    main()
