"""Entities that two vocabularies know under two ids."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph


def canonical_rows(
    graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], kinds: Sequence[str]
) -> NDArray[np.int32]:
    """Return for each entity, ``(entities,)``, the row of the one that stands for all of its kind that share a name.

    Sharing goes on: where one entity has the names of two others, the three are one.

    Args:
        graph: whose entities they are.
        names: the names of an entity; compared ignoring case. One that has no name gives its own id.
        kinds: entity types to merge, e.g. ``Disease``. The first of the ids stays, by sort order, MeSH before others.
    """
    place = np.arange(len(graph.entities), dtype=np.int32)
    for kind in kinds:
        rows = sorted(
            graph.of_type(kind).tolist(), key=lambda row: ("MESH:" not in graph.entities[row], graph.entities[row])
        )
        named: dict[str, int] = {}
        earlier = list(range(len(rows)))  # of each a namesake that comes earlier in ``rows``, or itself
        for turn, row in enumerate(rows):
            for name in names(graph.entities[row]):
                one, other = (_first(earlier, each) for each in (named.setdefault(name.casefold(), turn), turn))
                earlier[max(one, other)] = min(one, other)
        place[rows] = [rows[_first(earlier, turn)] for turn in range(len(rows))]
    return place


def _first(earlier: Sequence[int], turn: int) -> int:
    """Return the first of all namesakes."""
    while earlier[turn] != turn:
        turn = earlier[turn]
    return turn


def merge_synonyms(graph: KnowledgeGraph, kept: NDArray[np.int32]) -> KnowledgeGraph:
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
