"""Entities that two vocabularies know under two ids."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph


def kept_rows(graph: KnowledgeGraph, names: Callable[[str], Sequence[str]], kinds: Sequence[str]) -> NDArray[np.int32]:
    """Return for each entity, ``(entities,)``, the row of the one that stands for all of its kind that share a name.

    Args:
        graph: whose entities they are.
        names: the names of an entity; compared ignoring case. One that has no name gives its own id.
        kinds: entity types to merge, e.g. ``Disease``. The first of the ids stays, by sort order, MeSH before others.
    """
    place = np.arange(len(graph.entities), dtype=np.int32)
    for kind in kinds:
        keeper: dict[str, int] = {}
        rows = sorted(
            graph.of_type(kind).tolist(), key=lambda row: ("MESH:" not in graph.entities[row], graph.entities[row])
        )
        for row in rows:
            called = [name.casefold() for name in names(graph.entities[row])]
            known = next((keeper[name] for name in called if name in keeper), row)
            place[row] = known
            for name in called:
                keeper.setdefault(name, known)
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
