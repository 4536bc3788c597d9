"""Entities that have several ids, since several vocabularies list them: one of the ids is canonical."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph


def canonical_rows(
    graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], kinds: Sequence[str]
) -> NDArray[np.int32]:
    """Return for each entity, ``(entities,)``, the row of its canonical id: one per group of a type that shares names.

    Sharing is transitive: an entity that has the names of two others makes the three one.

    Args:
        graph: whose entities they are.
        names: the names of an entity, compared ignoring case; the id of one without names.
        kinds: entity types to merge, such as ``Disease``. Canonical is the first id by sort order, MeSH before others.
    """
    canonical = np.arange(len(graph.entities), dtype=np.int32)
    for kind in kinds:
        rows = sorted(
            graph.of_type(kind).tolist(), key=lambda row: ("MESH:" not in graph.entities[row], graph.entities[row])
        )
        named: dict[str, int] = {}
        earlier = list(range(len(rows)))  # for each a synonym that comes earlier in ``rows``, or itself
        for turn, row in enumerate(rows):
            for name in names(graph.entities[row]):
                one, other = (_first(earlier, each) for each in (named.setdefault(name.casefold(), turn), turn))
                earlier[max(one, other)] = min(one, other)
        canonical[rows] = [rows[_first(earlier, turn)] for turn in range(len(rows))]
    return canonical


def _first(earlier: Sequence[int], turn: int) -> int:
    """Return the first of all synonyms."""
    while earlier[turn] != turn:
        turn = earlier[turn]
    return turn


def merge_synonyms(graph: KnowledgeGraph, rows: NDArray[np.int32]) -> KnowledgeGraph:
    """Return the graph with its triples under canonical ids.

    Otherwise a disease that MeSH and the Disease Ontology both list would be trained on under one id and tested under
    the other, and a drug that treats it under one id would count as a negative under the other.

    Args:
        graph: its vocabularies stay as they are; duplicate triples are dropped.
        rows: ``(entities,)``, as ``canonical_rows`` returns them.
    """
    triples = graph.triples.copy()
    triples[:, 0], triples[:, 2] = rows[triples[:, 0]], rows[triples[:, 2]]
    _, first = np.unique(triples, axis=0, return_index=True)
    return replace(graph, triples=triples[np.sort(first)])
