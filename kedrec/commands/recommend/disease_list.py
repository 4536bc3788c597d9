"""The diseases that a run can recommend drugs for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kedrec.commands.recommend.drug_ranking import DrugRanking
from kedrec.graph.named_graph import NamedGraph

HOW_TO_LIST = "--diseases lists them, --diseases=WORD those with this word in a name or id, --top=N more of them"


@dataclass(frozen=True)
class ListedDisease:
    """A disease that drugs can be ranked for.

    Attributes:
        id: canonical id.
        name: preferred name; the id where the graph has no name for it.
        edges: triples of the graph with this disease, those of its synonymous ids included.
        treatments: drugs that the graph calls treatments, from training or held out.
    """

    id: str
    name: str
    edges: int
    treatments: int


def list_diseases(named: NamedGraph, ranking: DrugRanking, word: str = "") -> list[ListedDisease]:
    """Return the diseases that the run has embedded, those with most edges first, equal ones by name.

    Args:
        named: the run's graph, with names.
        ranking: by the run's embeddings.
        word: text that a name, a synonym or an id has to contain, in any case; empty for all diseases.
    """
    graph, rows = named.graph, named.canonical_rows
    degrees = np.bincount(graph.triples[:, ::2].ravel(), minlength=len(graph.entities))
    groups: dict[str, list[int]] = {}
    for row in graph.of_type("Disease").tolist():
        groups.setdefault(graph.entities[rows[row]], []).append(row)
    found = []
    for canonical, members in groups.items():
        ids = [graph.entities[row] for row in members]
        texts = [*ids, *(name for one in ids for name in named.names(one))]
        embedded = any(one in ranking.exported.entity_rows for one in ids)
        if embedded and any(word.casefold() in text.casefold() for text in texts):
            edges, treatments = int(degrees[members].sum()), len(ranking.known.get(canonical, {}))
            found.append(ListedDisease(canonical, named.names(canonical)[0], edges, treatments))
    return sorted(found, key=lambda one: (-one.edges, one.name, one.id))


def disease_lines(diseases: Sequence[ListedDisease], top: int, word: str = "") -> list[str]:
    """Return the lines that a terminal shows of `list_diseases`.

    Args:
        diseases: as returned.
        top: diseases listed at most.
        word: as given there.
    """
    which = f" with {word!r} in a name or id" if word else ""
    shown = diseases[:top]
    rest = f"; the {len(shown)} with most edges" if len(shown) < len(diseases) else ""
    return [
        f"drugs can be ranked for {len(diseases):,} diseases{which}{rest}{':' if shown else ''}",
        *(f"  {one.id}  {one.name} ({one.edges:,} edges, {one.treatments:,} known treatments)" for one in shown),
    ]
