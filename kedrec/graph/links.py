"""The triples of a graph that link a drug to a disease, by any relation, direction and synonymous id."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from kedrec.graph.knowledge_graph import KnowledgeGraph

Edge = tuple[str, str]  # drug, disease


def linked_pairs(graph: KnowledgeGraph, canonical_rows: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.int64]:
    """Return compound * entities + disease for the triples between a compound and a disease, ``(n,)``, else -1.

    Args:
        graph: whose triples they are.
        canonical_rows: ``(entities,)`` row of each entity's canonical id; ``None`` where ids are not merged.
    """
    compound, disease = (np.zeros(len(graph.entities), dtype=np.bool_) for _ in range(2))
    compound[graph.of_type("Compound")] = True
    disease[graph.of_type("Disease")] = True
    ends = graph.triples[:, ::2] if canonical_rows is None else canonical_rows[graph.triples[:, ::2]]
    heads, tails = ends.astype(np.int64).T
    linked = np.full(len(graph.triples), -1, dtype=np.int64)
    for drugs, diseases in ((heads, tails), (tails, heads)):
        np.copyto(linked, drugs * len(graph.entities) + diseases, where=compound[drugs] & disease[diseases])
    return linked


def edge_keys(graph: KnowledgeGraph, edges: Collection[Edge]) -> npt.NDArray[np.int64]:
    """Return the numbers of ``linked_pairs`` for some (drug, disease); those that the graph lacks are left out."""
    row_of = graph.entity_rows
    known = [(row_of[drug], row_of[disease]) for drug, disease in edges if drug in row_of and disease in row_of]
    return np.array([drug * len(graph.entities) + disease for drug, disease in known], dtype=np.int64)


def every_link(
    graph: KnowledgeGraph, edges: Collection[Edge], canonical_rows: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return every possible triple, ``(n, 3)``, between the ends of one of the edges, in the graph or not.

    Args:
        graph: has the vocabularies.
        edges: (drug, disease) by canonical ids.
        canonical_rows: as in ``linked_pairs``.
    """
    order = np.argsort(canonical_rows, kind="stable")
    bounds = np.searchsorted(canonical_rows[order], np.arange(len(canonical_rows) + 1))
    triples = [np.empty((0, 3), dtype=np.int32)]
    for key in edge_keys(graph, edges).tolist():
        drug, disease = (order[bounds[row] : bounds[row + 1]] for row in divmod(key, len(graph.entities)))
        grid = np.stack(np.meshgrid(drug, np.arange(len(graph.relations)), disease), axis=-1).reshape(-1, 3)
        triples += [grid.astype(np.int32), grid[:, ::-1].astype(np.int32)]
    return np.concatenate(triples)
