"""The treatments that a run's embeddings were trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import linked_pairs
from kedrec.graph.therapeutic import therapeutic_relations
from kedrec.graph.trained_embeddings import Exported


def trained_treatments(
    exported: Exported, graph: KnowledgeGraph, relations: Sequence[str], kept: NDArray[np.int32]
) -> set[frozenset[str]]:
    """Return {drug, disease} of the treatments that a run was trained on, be it under a namesake's id.

    Arguments are those of ``embeddings_baseline``.
    """
    names = therapeutic_relations(graph, relations)
    return {
        frozenset((graph.entities[kept[head]], graph.entities[kept[tail]]))
        for head, relation, tail in graph.edges(names).tolist()
        if (graph.entities[head], graph.relations[relation], graph.entities[tail]) not in exported.held_out
    }


def linked_treatments(exported: Exported, graph: KnowledgeGraph, kept: NDArray[np.int32]) -> set[frozenset[str]]:
    """Return {drug, disease} of what a run may have been trained on, by whatever relation and namesake's id.

    Arguments are those of ``embeddings_baseline``.
    """
    linked = np.flatnonzero(linked_pairs(graph) >= 0)
    return {
        frozenset((graph.entities[kept[head]], graph.entities[kept[tail]]))
        for head, relation, tail in graph.triples[linked].tolist()
        if (graph.entities[head], graph.relations[relation], graph.entities[tail]) not in exported.held_out
    }
