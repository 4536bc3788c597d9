"""Entities that two vocabularies know under two ids."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph


def kept_rows(graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], kinds: Sequence[str]) -> NDArray[np.int32]:
    """Return for each entity, ``(entities,)``, the row of the one that stands for all of its kind that share a name.

    Sharing goes on: where one entity has the names of two others, the three are one.

    Args:
        graph: whose entities they are.
        names: the names of an entity; compared ignoring case. One that has no name gives its own id.
        kinds: entity types to merge, e.g. ``Disease``. The first of the ids stays, by sort order, MeSH before others.
    """
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    place = np.arange(len(graph.entities), dtype=np.int32)
    for kind in kinds:
        rows = sorted(
            graph.of_type(kind).tolist(), key=lambda row: ("MESH:" not in graph.entities[row], graph.entities[row])
        )
        numbers: dict[str, int] = {}
        links = [
            (turn, numbers.setdefault(name.casefold(), len(rows) + len(numbers)))
            for turn, row in enumerate(rows)
            for name in names(graph.entities[row])
        ]
        size = len(rows) + len(numbers)
        turns, called = np.array(links, dtype=np.int64).reshape(-1, 2).T
        shared = coo_array((np.ones(len(turns), dtype=np.bool_), (turns, called)), shape=(size, size))
        group = connected_components(shared, directed=False)[1][: len(rows)]
        first, member = np.unique(group, return_index=True, return_inverse=True)[1:]
        place[rows] = np.array(rows, dtype=np.int32)[first[member]]
    return place


def merge_namesakes(graph: KnowledgeGraph, kept: NDArray[np.int32]) -> KnowledgeGraph:
    """Let the entities that share a name be one.

    A disease that MeSH and the Disease Ontology both list would otherwise be trained on under one id and tested under
    the other, and a drug that treats it under one id would pass for a negative under the other.

    Args:
        graph: its entities stay as they are; its triples point to the ids that are kept, duplicates dropped.
        kept: as ``kept_rows`` returns it.
    """
    triples = graph.triples.copy()
    triples[:, 0], triples[:, 2] = kept[triples[:, 0]], kept[triples[:, 2]]
    _, first = np.unique(triples, axis=0, return_index=True)
    return replace(graph, triples=triples[np.sort(first)])
