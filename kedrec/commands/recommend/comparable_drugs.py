"""Drugs to compare a recommended drug with: similar ones that the run does not recommend."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kedrec.commands.recommend.drug_ranking import Candidate
from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.similarity import nearest_first, neighbourhood_embedding

_NEAR = 10  # most similar drugs, among which that with the nearest number of edges is taken


def comparable_drugs(
    graph: KnowledgeGraph,
    hidden: Sequence[str],
    ranked: Sequence[Candidate],
    drugs: Sequence[str],
    named: Collection[str],
) -> dict[str, str]:
    """Return for each drug another that is similar in the graph, about as well known, and not recommended.

    A student is trained to distinguish two such drugs. The other drug treats some disease, but not this one under any
    relation or id; it is not in the first tenth of the ranking; of the ten that share most neighbours with the drug it
    is the one with the nearest number of edges.

    Args:
        graph: with synonyms merged.
        hidden: therapeutic relations, by full name, that similarity must not use.
        ranked: all drugs for the disease.
        drugs: ids.
        named: drugs that have a name; a student cannot be prompted with others.

    Returns:
        Drug to the other drug; drugs without one are left out.
    """
    compounds = [graph.entities[row] for row in graph.of_type("Compound").tolist()]
    treating = {graph.entities[row] for row in graph.edges(hidden)[:, ::2].ravel().tolist()}
    lower = {one.drug for one in ranked[len(ranked) // 10 :] if one.known is None}
    allowed = {drug for drug in compounds if drug in lower and drug in treating and drug in named} - set(drugs)
    try:
        nearest = nearest_first(compounds, neighbourhood_embedding(graph, without=hidden))
    except KedrecError:  # no two drugs share a neighbour, so that none are similar
        return {}
    degree = _degrees(graph, hidden)
    others: dict[str, str] = {}
    for drug in sorted(drugs):
        near = [compounds[row] for row in nearest(drug).tolist() if compounds[row] in allowed][:_NEAR]
        if near:
            others[drug] = min(near, key=lambda one, own=degree[drug]: abs(np.log1p(degree[one]) - np.log1p(own)))  # type: ignore[misc]
    return others


def _degrees(graph: KnowledgeGraph, hidden: Sequence[str]) -> Mapping[str, int]:
    """Return how many edges each entity has, without the hidden ones."""
    rows = [graph.relation_rows[name] for name in hidden]
    seen = graph.triples[~np.isin(graph.triples[:, 1], rows)]
    counts = np.bincount(seen[:, ::2].ravel(), minlength=len(graph.entities))
    return dict(zip(graph.entities, counts.tolist(), strict=True))
