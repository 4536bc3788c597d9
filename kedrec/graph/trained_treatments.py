"""The treatments that a run's embeddings were trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import linked_pairs
from kedrec.graph.therapeutic import therapeutic_relations
from kedrec.graph.trained_embeddings import Exported


def trained_treatments(
    exported: Exported, graph: KnowledgeGraph, relations: Sequence[str], canonical_rows: NDArray[np.int32]
) -> set[frozenset[str]]:
    """Return {drug, disease}, by canonical ids, of the treatments that a run was trained on under any of their ids.

    Args:
        exported: the run's embeddings.
        graph: before merging.
        relations: therapeutic relations in addition to ``THERAPEUTIC``.
        canonical_rows: ``(entities,)`` row of each entity's canonical id.
    """
    names = therapeutic_relations(graph, relations)
    return {
        frozenset((graph.entities[canonical_rows[head]], graph.entities[canonical_rows[tail]]))
        for head, relation, tail in graph.edges(names).tolist()
        if (graph.entities[head], graph.relations[relation], graph.entities[tail]) not in exported.held_out
    }


def linked_treatments(
    exported: Exported, graph: KnowledgeGraph, canonical_rows: NDArray[np.int32]
) -> set[frozenset[str]]:
    """Return {drug, disease}, by canonical ids, of the pairs that a run may have been trained on by any relation.

    Args:
        exported: the run's embeddings.
        graph: before merging.
        canonical_rows: ``(entities,)`` row of each entity's canonical id.
    """
    linked = np.flatnonzero(linked_pairs(graph) >= 0)
    return {
        frozenset((graph.entities[canonical_rows[head]], graph.entities[canonical_rows[tail]]))
        for head, relation, tail in graph.triples[linked].tolist()
        if (graph.entities[head], graph.relations[relation], graph.entities[tail]) not in exported.held_out
    }
