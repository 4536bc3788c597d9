"""Pairs to choose from: for a disease, a drug that treats it and one that is not known to, split without leaks."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import Edge, edge_keys, linked_pairs
from kedrec.graph.similarity import neighbourhood_embedding
from kedrec.graph.therapeutic import THERAPEUTIC, therapeutic_relations, treating_drugs
from kedrec.kedrec_lm.irrelevant_drugs import (
    Draw,
    balanced_draw,
    compound_vectors,
    popularity_vectors,
    random_draw,
    similar_draw,
)
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS, Split, check_splits, seeded_number, seeded_order
from kedrec.splits.split_creation import eligible_treatments
from kedrec.splits.treatment_split import TreatmentSplit

log = logging.getLogger(__name__)

Negatives = Literal["random", "similar", "popular"]


def sample_pairs(
    graph: KnowledgeGraph,
    manifest: TreatmentSplit,
    *,
    negatives: Negatives,
    balanced: bool,
    seed: int,
    relations: Sequence[str] = THERAPEUTIC,
    limit: Mapping[str, int] | None = None,
    embedding: npt.NDArray[np.floating] | None = None,
    hardness: tuple[int, int] = (0, 10),
    eligible: Callable[[str, str], bool] | None = None,
    drugs: Collection[str] | None = None,
    kin: Mapping[str, Collection[str]] | None = None,
) -> list[Pair]:
    """Sample one pair for each (drug, disease) with a therapeutic edge, sorted by split, disease, relevant drug.

    A (drug, disease) counts once, whatever relations state it and in whichever direction. The irrelevant drug has a
    therapeutic edge to some disease, and none of ``relations`` or ``THERAPEUTIC`` to this one or its kin, in either
    direction and any split. Names and seed alone decide, not the order of the graph. Similarity is computed without any
    edge between the two ends of a held-out treatment; popularity without the treatments of a later split.

    Args:
        graph: with the true edges, synonyms merged.
        manifest: the split of each true edge; a split by ``drug`` holds for irrelevant drugs too.
        negatives: ``random`` draws the irrelevant drug uniformly, ``similar`` among the nearest that may be drawn,
            ``popular`` among those that treat about as many diseases.
        balanced: sample no drug as irrelevant more often than it is relevant in its split, see ``balanced_draw``.
        seed: of the experiment.
        relations: the true edges, by full name or beginning (``DRUGBANK::treats``); some of ``THERAPEUTIC`` may lack.
        limit: split -> pairs to keep at most; a split that is not named keeps all.
        embedding: ``(compounds, dim)``, aligned with ``graph.of_type("Compound")``, for ``similar``; ``None`` takes
            ``neighbourhood_embedding`` without the therapeutic edges.
        hardness: unless balanced, the ranks by nearness to the relevant drug that are drawn from: the first of them,
            and the first beyond. A window farther away makes the choice easier.
        eligible: whether a true (drug, disease) may be used, for instance because texts exist; as at the split.
        drugs: the only drugs that may be used, as relevant or irrelevant, as at the split; ``None`` for all.
        kin: disease -> its parents and children, where a hierarchy is known: their drugs are not irrelevant to it.

    Raises:
        KedrecError: unknown relations or splits, an embedding of another size, or no pair left.
    """
    limit = limit or {}
    check_splits(limit)
    stated, edges, pool = eligible_treatments(graph, relations, eligible, drugs)
    homes, pools = manifest.split_of, _pools(manifest, pool, seed)
    hidden = therapeutic_relations(graph, relations)
    guarded, treating = _without_held_out(graph, manifest), treating_drugs(stated, kin or {})
    shared = None if negatives == "popular" else drug_vectors(guarded, negatives, stated, hidden, embedding)

    kind = f"{'balanced ' if balanced else ''}{negatives}"
    pairs: list[Pair] = []
    for name in SPLITS:
        vector_of = _popularity(stated, homes, name) if negatives == "popular" else shared
        draw = chosen_draw(pools, treating, vector_of, balanced=balanced, hardness=hardness, seed=seed)
        of_split = [edge for edge in edges if homes[edge] == name]
        pairs += drawn_pairs(of_split, name, stated, draw, kind, limit, seed)
    return pairs


def drug_vectors(
    graph: KnowledgeGraph,
    negatives: Negatives,
    stated: Iterable[Edge],
    hidden: Sequence[str],
    embedding: npt.NDArray[np.floating] | None,
) -> Mapping[str, npt.NDArray[np.floating]] | None:
    """Return the vectors by which the similarity of drugs is measured; ``None`` for random negatives.

    Args:
        graph: measures similarity where there is no ``embedding``.
        negatives: as in ``sample_pairs``.
        stated: true edges, by which popularity is counted.
        hidden: relations that similarity must not use.
        embedding: as in ``sample_pairs``.
    """
    if negatives == "random":
        return None
    if negatives == "popular":
        treatments = list(stated)
        return popularity_vectors(treatments, {drug for drug, _ in treatments})
    rows = neighbourhood_embedding(graph, without=hidden) if embedding is None else embedding
    return compound_vectors(graph, rows)


def chosen_draw(
    pools: Mapping[Split, Sequence[str]],
    treating: Mapping[str, set[str]],
    vector_of: Mapping[str, npt.NDArray[np.floating]] | None,
    *,
    balanced: bool,
    hardness: tuple[int, int],
    seed: int,
) -> Draw:
    """Return how irrelevant drugs are sampled; without vectors uniformly."""
    if balanced:
        return balanced_draw(treating, vector_of, seed)
    if vector_of is None:
        return random_draw(pools, treating, seed)
    return similar_draw(pools, treating, vector_of, window=hardness, seed=seed)


def drawn_pairs(
    edges: Sequence[Edge],
    name: Split,
    stated: Mapping[Edge, set[str]],
    draw: Draw,
    kind: str,
    limit: Mapping[str, int],
    seed: int,
) -> list[Pair]:
    """Return the pairs of one split, half of them, rounded down, with the relevant drug first.

    Args:
        edges: true edges of this split.
        name: of the split.
        stated: the relations that state each edge, for the provenance.
        draw: samples the irrelevant drugs; an edge without one is left out, with a warning.
        kind: of the negatives, for the provenance.
        limit: most pairs a split.
        seed: of the experiment.
    """
    edges = sorted(edges, key=lambda edge: seeded_number(seed, "order", edge[1], edge[0]))[: limit.get(name)]
    sampled = [(edge, other) for edge, other in zip(edges, draw(edges, name), strict=True) if other]
    if left_out := len(edges) - len(sampled):
        log.warning("%s: %d pairs are left out, as no drug is left that could be irrelevant", name, left_out)
    pairs = [
        Pair(disease, drug, other, name, at < len(sampled) // 2, f"{'|'.join(sorted(stated[drug, disease]))};{kind}")
        for at, ((drug, disease), other) in enumerate(sampled)
    ]
    return sorted(pairs, key=lambda pair: (pair.disease, pair.relevant))


def _popularity(
    stated: Iterable[Edge], homes: Mapping[Edge, Split], name: Split
) -> Mapping[str, npt.NDArray[np.floating]]:
    """Return drugs' vectors by popularity, counted in the treatments of a split and of those before it."""
    known = [edge for edge in stated if SPLITS.index(homes[edge]) <= SPLITS.index(name)]
    return popularity_vectors(known, {drug for drug, _ in stated})


def _pools(manifest: TreatmentSplit, pool: set[str], seed: int) -> dict[Split, list[str]]:
    """Return for each split the drugs, shuffled, that may be irrelevant in it."""
    shuffled = seeded_order(pool, seed, "pool")
    if manifest.by != "drug":
        return dict.fromkeys(SPLITS, shuffled)
    home_of = {drug: split for (drug, _), split in manifest.split_of.items()}
    return {name: [drug for drug in shuffled if home_of[drug] == name] for name in SPLITS}


def _without_held_out(graph: KnowledgeGraph, manifest: TreatmentSplit) -> KnowledgeGraph:
    """Return the graph without any triple between the ends of a treatment that is held out, by whatever relation."""
    held = np.isin(linked_pairs(graph), edge_keys(graph, manifest.held_out))
    return replace(graph, triples=graph.triples[~held])
