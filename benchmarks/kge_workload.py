"""Write a seeded knowledge graph of DRKG's size and shape, in the forms the trainers of `benchmarks/kge.py` read.

    python benchmarks/kge_workload.py FOLDER [--triples 3900000] [--entities 68471] [--relations 101] [--seed 0]

Entities are drawn with weights of a shifted power law, so that a few hubs have tens of thousands of triples and the
median entity a few dozen; so are relations, the most frequent of which has about a sixth of all triples. Every entity
and every relation occurs, no triple twice, heads differ from tails, and the order is random.

``train.npy`` holds the triples as int32 (head, relation, tail); ``train.tsv`` the same as lines of numbers (DGL-KE,
LibKGE); ``entities.tsv`` and ``relations.tsv`` one "number, name" a line (DGL-KE, LibKGE and the RotatE code, which
calls them ``.dict``); ``workload.json`` what was asked for. A folder that already holds what is asked for is kept.
"""

import argparse
import json
from pathlib import Path

import numpy as np

ENTITIES, RELATIONS, TRIPLES = 68_471, 101, 3_900_000


def power_law(rng: np.random.Generator, count: int, shift: float, exponent: float) -> np.ndarray:
    """Return the running sum of ``count`` weights ``(rank + shift) ** -exponent``, in random order."""
    weights = (np.arange(1, count + 1) + shift) ** -exponent
    return np.cumsum(rng.permutation(weights / weights.sum()))


def draw(rng: np.random.Generator, edges: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` indices drawn by the running sum of their weights."""
    return np.minimum(np.searchsorted(edges, rng.random(count)), len(edges) - 1)


def generate(entities: int, relations: int, triples: int, seed: int) -> np.ndarray:
    """Return distinct triples, shape (triples, 3), int32."""
    rng = np.random.default_rng(seed)
    entity_edges = power_law(rng, entities, shift=30.0, exponent=0.9)
    relation_edges = power_law(rng, relations, shift=1.5, exponent=1.3)

    def keys(heads: np.ndarray, rows: np.ndarray) -> np.ndarray:
        tails = draw(rng, entity_edges, len(heads))
        tails = np.where(tails == heads, (tails + 1) % entities, tails)
        return (heads.astype(np.int64) * relations + rows) * entities + tails

    # Each entity heads one triple at least, and the relations take turns in these.
    required = np.unique(keys(np.arange(entities), np.arange(entities) % relations))
    found = required
    while len(found) < triples:
        more = int(1.1 * (triples - len(found))) + 1000
        fresh = keys(draw(rng, entity_edges, more), draw(rng, relation_edges, more))
        found = np.unique(np.concatenate([found, fresh]))
    others = rng.permutation(np.setdiff1d(found, required, assume_unique=True))[: triples - len(required)]
    chosen = rng.permutation(np.concatenate([required, others]))
    heads, rest = np.divmod(chosen, relations * entities)
    return np.stack([heads, *np.divmod(rest, entities)], 1).astype(np.int32)


def write_workload(folder: Path, entities: int, relations: int, triples: int, seed: int) -> None:
    """Write all forms into ``folder``, ``workload.json`` last; do nothing where they are there already."""
    asked = {"entities": entities, "relations": relations, "triples": triples, "seed": seed}
    mark = folder / "workload.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == asked:
        return
    mark.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    rows = generate(entities, relations, triples, seed)
    np.save(folder / "train.npy", rows)
    with (folder / "train.tsv").open("w", encoding="utf-8") as file:
        file.writelines(f"{head}\t{relation}\t{tail}\n" for head, relation, tail in rows.tolist())
    for kind, count in (("entities", entities), ("relations", relations)):
        lines = (f"{index}\t{kind}::MADE:{index:07d}\n" for index in range(count))
        (folder / f"{kind}.tsv").write_text("".join(lines), encoding="utf-8")
    mark.write_text(json.dumps(asked), encoding="utf-8")


def describe(rows: np.ndarray) -> str:
    """Return the sizes, and quantiles of the degrees and relation shares, in a line or two."""
    degrees = np.sort(np.bincount(rows[:, [0, 2]].ravel()))[::-1]
    shares = np.sort(np.bincount(rows[:, 1]))[::-1] / len(rows)
    ranks = [0, 10, 100, 1000, len(degrees) // 10, len(degrees) // 2, len(degrees) - 1]
    return (
        f"{len(rows):,} triples, {len(degrees):,} entities, {len(shares)} relations\n"
        f"degree at rank {', '.join(f'{rank + 1}: {degrees[rank]:,}' for rank in ranks if rank < len(degrees))}\n"
        f"largest relations {', '.join(f'{share:.1%}' for share in shares[:5])}, smallest {shares[-1]:.3%}"
    )


def main() -> None:
    """Write the files and describe them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entities", type=int, default=ENTITIES)
    parser.add_argument("--relations", type=int, default=RELATIONS)
    parser.add_argument("--triples", type=int, default=TRIPLES, help="more than --entities")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_workload(options.folder, options.entities, options.relations, options.triples, options.seed)
    print(describe(np.load(options.folder / "train.npy")))


if __name__ == "__main__":
    main()
