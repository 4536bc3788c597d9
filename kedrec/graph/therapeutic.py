"""The therapeutic (drug, disease) edges of a graph."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import Edge

THERAPEUTIC = (
    "DRUGBANK::treats::Compound:Disease",
    "Hetionet::CtD::Compound:Disease",
    "Hetionet::CpD::Compound:Disease",
    "GNBR::T::Compound:Disease",
)


def therapeutic_relations(graph: KnowledgeGraph, relations: Iterable[str]) -> list[str]:
    """Return the graph's relations that state a treatment: those of ``relations`` and of ``THERAPEUTIC``.

    Args:
        graph: which may lack some of ``THERAPEUTIC``.
        relations: further ones, by full name or beginning, as ``KnowledgeGraph.match_relations`` takes them.

    Raises:
        KedrecError: the graph lacks one of ``relations``, or has no therapeutic relation.
    """
    return graph.match_relations([*relations, *THERAPEUTIC], optional=THERAPEUTIC)


def stated_edges(graph: KnowledgeGraph, relations: Sequence[str]) -> dict[Edge, set[str]]:
    """Return each (drug, disease) that some relations link, in either direction, with those relations."""
    stated: dict[Edge, set[str]] = defaultdict(set)
    for head, relation, tail in graph.edges(relations).tolist():
        drug, disease = sorted((graph.entities[head], graph.entities[tail]))  # "Compound::" sorts before "Disease::"
        if drug.startswith("Compound::") and disease.startswith("Disease::"):
            stated[drug, disease].add(graph.relations[relation])
    return stated


def treating_drugs(stated: Iterable[Edge], kin: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return disease -> the drugs that treat it, or its parents or children."""
    own: dict[str, set[str]] = defaultdict(set)
    for drug, disease in stated:
        own[disease].add(drug)
    return {disease: drugs.union(*(own.get(one, ()) for one in kin.get(disease, ()))) for disease, drugs in own.items()}
