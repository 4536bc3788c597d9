"""Noise in the training triples, to measure how robust a model is: deleted triples and random triples."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph, pack_triples
from kedrec.graph.links import every_link
from kedrec.graph.named_graph import NamedGraph
from kedrec.lladr.triple_settings import NoiseSettings
from kedrec.splits.seeded_split import seeded_number
from kedrec.splits.treatment_split import TreatmentSplit

BLOCK = 1 << 20
"""Random triples drawn at a time; another number draws other triples under the same seed."""


def with_noise(
    train: npt.NDArray[np.int32],
    named: NamedGraph,
    split: TreatmentSplit | None,
    noise: NoiseSettings,
    seed: int,
) -> npt.NDArray[np.int32]:
    """Return the training triples with noise; no random triple links the ends of a held-out treatment.

    Args:
        train: ``(n, 3)``.
        named: the graph of the true triples.
        split: of its treatments; ``None`` where the graph's authors have split it.
        noise: shares that are deleted and added.
        seed: of the noise.
    """
    graph = named.graph
    remaining = delete_triples(train, noise.delete, seed)
    if noise.add and split is not None:
        forbidden = every_link(graph, split.held_out, named.canonical_rows)
        graph = replace(graph, triples=np.concatenate([graph.triples, forbidden]))
    return add_triples(remaining, noise.add, graph, seed)


def delete_triples(train: npt.NDArray[np.int32], share: float, seed: int) -> npt.NDArray[np.int32]:
    """Return ``train`` without a random share of it, in its order: ``(n - round(share * n), 3)``.

    Under one seed, a larger share deletes all triples that a smaller share deletes.

    Args:
        train: ``(n, 3)``; its order decides, beside the seed.
        share: of the triples to delete, 0.0 to below 1.
        seed: of the experiment.

    Raises:
        KedrecError: another share.
    """
    if not 0 <= share < 1:
        raise KedrecError(
            f"data.init_args.noise.delete: {share}; expected the share of deleted triples, 0 or more and below 1"
        )
    shuffled = np.random.default_rng(seeded_number(seed, "deleted triples")).permutation(len(train))
    remains = np.ones(len(train), dtype=np.bool_)
    remains[shuffled[: round(share * len(train))]] = False
    return train[remains]


def add_triples(train: npt.NDArray[np.int32], share: float, graph: KnowledgeGraph, seed: int) -> npt.NDArray[np.int32]:
    """Return ``train`` and after it random triples: ``(n + round(share * n), 3)``.

    Head and tail are drawn uniformly among all entities, the relation among all relations, as LLaDR's "random triples"
    are; all are distinct, and none is in the graph, held out or not. Under one seed, a larger share
    adds all triples that a smaller share adds, in the same order.

    Args:
        train: ``(n, 3)``.
        share: of ``n`` to add, 0 or more.
        graph: has the vocabularies and the true triples.
        seed: of the experiment.

    Raises:
        KedrecError: another share, or more than there are unknown triples.
    """
    if not 0 <= share < math.inf:
        raise KedrecError(f"data.init_args.noise.add: {share}; expected the share of added triples, 0 or more")
    entities, relations, number = len(graph.entities), len(graph.relations), round(share * len(train))
    known = np.concatenate([graph.triples, train])
    free = entities**2 * relations - int(_first_distinct(known, entities, relations).sum())
    if number > free:
        raise KedrecError(
            f"data.init_args.noise.add: {number} random triples cannot be added, as {entities} entities and "
            f"{relations} relations leave only {free} unknown ones; choose a smaller share"
        )
    draw = np.random.default_rng(seeded_number(seed, "added triples"))
    drawn = np.empty((0, 3), dtype=np.int32)
    while (missing := number - len(drawn)) > 0:
        # Whole blocks, so that the drawn triples do not depend on their number.
        blocks = [
            draw.integers(0, [entities, relations, entities], size=(BLOCK, 3), dtype=np.int32)
            for _ in range(math.ceil(missing / BLOCK))
        ]
        rows = np.concatenate([known, drawn, *blocks])
        drawn = rows[len(known) :][_first_distinct(rows, entities, relations)[len(known) :]]
    return np.concatenate([train, drawn[:number]])


def _first_distinct(triples: npt.NDArray[np.int32], entities: int, relations: int) -> npt.NDArray[np.bool_]:
    """Return which triples repeat none before them, ``(n,)``; numpy takes a minute for it at DRKG's size."""
    return pl.Series(pack_triples(triples, entities, relations)).is_first_distinct().to_numpy()
