"""What a recommended drug is compared with: another that is like it, and that the run does not recommend."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kedrec.commands.recommend.drug_ranking import Candidate
from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.similarity import nearest_first, neighbourhood_embedding

_NEAR = 10  # of the drugs most like the candidate the one that has most nearly as many edges


def comparable_drugs(
    graph: KnowledgeGraph,
    hidden: Sequence[str],
    ranked: Sequence[Candidate],
    asked: Sequence[str],
    named: Collection[str],
) -> dict[str, str]:
    """Return for each drug asked for another: like it in the graph, about as well known, and not recommended.

    A student is trained to tell two such drugs apart. The other one treats some disease, but not this one under any
    relation or id; it is not in the first tenth of the ranking; of the ten that share most neighbours with the drug
    it is the one with most nearly as many edges.

    Args:
        graph: of entities merged with their namesakes.
        hidden: therapeutic relations, by full name, that likeness must not see.
        ranked: all drugs for the disease.
        asked: ids of drugs.
        named: drugs that have a name; others say nothing to a student.

    Returns:
        Drug to its alternative; a drug for which there is none is left out.
    """
    compounds = [graph.entities[row] for row in graph.of_type("Compound").tolist()]
    treating = {graph.entities[row] for row in graph.edges(hidden)[:, ::2].ravel().tolist()}
    lower = {one.drug for one in ranked[len(ranked) // 10 :] if one.known is None}
    allowed = {drug for drug in compounds if drug in lower and drug in treating and drug in named} - set(asked)
    try:
        nearest = nearest_first(compounds, neighbourhood_embedding(graph, without=hidden))
    except KedrecError:  # no two drugs share a neighbour: likeness says nothing
        return {}
    degree = _degrees(graph, hidden)
    found: dict[str, str] = {}
    for drug in sorted(asked):
        near = [compounds[place] for place in nearest(drug).tolist() if compounds[place] in allowed][:_NEAR]
        if near:
            found[drug] = min(near, key=lambda one, own=degree[drug]: abs(np.log1p(degree[one]) - np.log1p(own)))  # type: ignore[misc]
    return found


def _degrees(graph: KnowledgeGraph, hidden: Sequence[str]) -> Mapping[str, int]:
    """Return how many edges each entity has, without the hidden ones."""
    rows = [graph.relation_rows[name] for name in hidden]
    seen = graph.triples[~np.isin(graph.triples[:, 1], rows)]
    counts = np.bincount(seen[:, ::2].ravel(), minlength=len(graph.entities))
    return dict(zip(graph.entities, counts.tolist(), strict=True))
