"""Time kedrec's graph loader against pandas on a file of DRKG's size and shape.

    python benchmarks/graph_load.py [--lines 5874261] [--repeats 3]

A seeded file is written to a temporary folder: DRKG's 107 relations and 97,238 entities where ``$KEDREC_REAL_DATA`` has
their lists, made-up ones of the same form otherwise; entities are drawn with long-tailed degrees and every one occurs.
kedrec (cold: empty store; warm: second load) and ``pandas.read_csv`` with ``factorize`` then take turns, each in a
process of its own. Times exclude imports; the peak is the process's resident memory, imports included.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DRKG_LINES = 5_874_261
DRKG_TYPES = {  # entities a type, for the made-up list
    "Gene": 39_220, "Compound": 24_313, "Biological Process": 11_381, "Side Effect": 5_701, "Disease": 5_103,
    "Atc": 4_048, "Molecular Function": 2_884, "Pathway": 1_822, "Cellular Component": 1_391, "Symptom": 415,
    "Anatomy": 400, "Pharmacologic Class": 345, "Tax": 215,
}  # fmt: skip


def drkg_like_names() -> tuple[list[str], list[str]]:
    """Return entities and relations: DRKG's own where the real data lies, made-up ones otherwise."""
    if folder := os.environ.get("KEDREC_REAL_DATA"):
        from kedrec.sources.graph.entity_names import line_blocks

        graph = Path(folder) / "graph"
        rows = b"".join(line_blocks(graph / "drkg_entities.tsv.zst")).decode().splitlines()
        relations = (graph / "drkg_relations.tsv").read_text(encoding="utf-8").splitlines()
        return [row.split("\t")[0] for row in rows], [row.split("\t")[0] for row in relations]
    entities = [f"{kind}::MADE:{index:07d}" for kind, count in DRKG_TYPES.items() for index in range(count)]
    others = list(DRKG_TYPES)
    return entities, [f"MADEUP::relation {i}::Gene:{others[i % len(others)]}" for i in range(107)]


def ends_of(relation: str, kinds: dict[str, np.ndarray]) -> tuple[str, str]:
    """Return the head's and the tail's type that a relation's name states; genes where it states none known."""
    head, _, tail = relation.rsplit("::", 1)[-1].rpartition(":")
    return head if head in kinds else "Gene", tail if tail in kinds else "Gene"


def write_graph(path: Path, lines: int, seed: int = 0) -> None:
    """Write ``lines`` triples in random order; about one in 500 is a duplicate."""
    import polars as pl

    rng = np.random.default_rng(seed)
    entities, relations = drkg_like_names()
    kind_of = np.array([entity.split("::")[0] for entity in entities])
    kinds = {str(kind): rng.permutation(np.flatnonzero(kind_of == kind)) for kind in np.unique(kind_of)}
    shares = rng.dirichlet(np.full(len(relations), 0.5))
    counts = 1 + rng.multinomial(lines - len(entities) - len(relations), shares)
    parts = [np.stack([np.arange(len(entities)), np.zeros(len(entities), int), rng.permutation(len(entities))], 1)]
    for row, (relation, count) in enumerate(zip(relations, counts, strict=True)):
        head, tail = (
            kinds[kind][(len(kinds[kind]) * rng.random(count) ** 1.5).astype(int)] for kind in ends_of(relation, kinds)
        )
        parts.append(np.stack([head, np.full(count, row), tail], 1))
    rows = rng.permutation(np.concatenate(parts))
    names, labels = pl.Series(entities), pl.Series(relations)
    frame = pl.DataFrame({"h": names.gather(rows[:, 0]), "r": labels.gather(rows[:, 1]), "t": names.gather(rows[:, 2])})
    frame.write_csv(path, include_header=False, separator="\t", quote_style="never")


def load_with_pandas(path: str) -> tuple[int, int, int]:
    """Read and factorize; return triples, entities, relations."""
    import pandas as pd

    frame = pd.read_csv(path, sep="\t", header=None, names=["h", "r", "t"], dtype=str, quoting=3, na_filter=False)
    codes, entities = pd.factorize(pd.concat([frame["h"], frame["t"]], ignore_index=True))
    rows, relations = pd.factorize(frame["r"])
    triples = np.stack([codes[: len(frame)], rows, codes[len(frame) :]], 1).astype(np.int32)
    return len(triples), len(entities), len(relations)


def load_with_kedrec(path: str, store: str) -> tuple[int, int, int]:
    """Load through the store; return distinct triples, entities, relations."""
    from kedrec.graph.knowledge_graph import load_graph
    from kedrec.storage.artifact_store import Store

    graph = load_graph(path, Store(store))
    return len(graph.triples), len(graph.entities), len(graph.relations)


def child(tool: str, path: str, store: str) -> None:
    """Load once with ``tool`` and print seconds, peak MiB and sizes as JSON."""
    if tool == "pandas":
        import pandas  # noqa: F401
    else:
        import kedrec.graph.knowledge_graph  # noqa: F401
    start = time.perf_counter()
    sizes = load_with_pandas(path) if tool == "pandas" else load_with_kedrec(path, store)
    seconds = time.perf_counter() - start
    # Not getrusage: its peak is inherited from the process that generated the file.
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps({"seconds": seconds, "mib": peak, "sizes": sizes}))


def main() -> None:
    """Generate, take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=DRKG_LINES, help="100,000 or more: each entity occurs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("TOOL", "FILE", "STORE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    runs: dict[str, list[dict]] = {"pandas": [], "kedrec cold": [], "kedrec warm": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drkg.tsv"
        write_graph(path, options.lines)
        print(f"{options.lines:,} lines, {path.stat().st_size / 2**20:.0f} MiB, {os.cpu_count()} cores", flush=True)
        for repeat in range(options.repeats):
            for tool, taken in runs.items():
                command = [sys.executable, __file__, "--child", tool.split()[0], str(path), f"{folder}/store{repeat}"]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                taken.append(json.loads(done.stdout))
    base = statistics.median(run["seconds"] for run in runs["pandas"])
    heads = f"{'':12} {'median s':>9} {'min s':>7} {'max s':>7} {'peak MiB':>9} {'pandas/this':>12}"
    print(f"{heads}  triples, entities, relations")
    for tool, taken in runs.items():
        seconds = [run["seconds"] for run in taken]
        middle, peak = statistics.median(seconds), max(run["mib"] for run in taken)
        figures = f"{middle:9.2f} {min(seconds):7.2f} {max(seconds):7.2f} {peak:9.0f} {base / middle:11.1f}x"
        print(f"{tool:12} {figures}  {taken[0]['sizes']}")


if __name__ == "__main__":
    main()
