"""Pairs to choose from: for a disease, a drug that treats it and one that is not known to, split without leaks."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.negatives import (
    Draw,
    Edge,
    balanced_draw,
    compound_vectors,
    popularity_vectors,
    random_draw,
    similar_draw,
)
from kedrec.graph.similarity import neighbourhood_embedding
from kedrec.graph.splits import SPLITS, Split, check_splits, scatter_items, seeded_number, seeded_order, split_items

log = logging.getLogger(__name__)

Negatives = Literal["random", "similar", "popular"]
THERAPEUTIC = (
    "DRUGBANK::treats::Compound:Disease",
    "Hetionet::CtD::Compound:Disease",
    "Hetionet::CpD::Compound:Disease",
    "GNBR::T::Compound:Disease",
)
SCHEMA = pl.Schema({
    "disease": pl.String(), "relevant": pl.String(), "irrelevant": pl.String(), "split": pl.String(),
    "relevant_first": pl.Boolean(), "provenance": pl.String(),
})  # fmt: skip
"""Columns of the Parquet file."""


@dataclass(frozen=True)
class Pair:
    """One choice between two drugs.

    Attributes:
        disease: entity id.
        relevant: entity id of a drug with a therapeutic edge to the disease.
        irrelevant: entity id of a drug without one.
        split: ``train``, ``validation`` or ``test``.
        relevant_first: whether the relevant drug is shown first.
        provenance: the relations that state the true edge, joined by ``|``; after ``;`` the kind of negative.
    """

    disease: str
    relevant: str
    irrelevant: str
    split: Split
    relevant_first: bool
    provenance: str


def sample_pairs(
    graph: KnowledgeGraph,
    *,
    negatives: Negatives,
    balanced: bool,
    split_by: Literal["pair", "disease", "drug"],
    validation: float,
    test: float,
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
    direction and any split. Names and seed alone decide, not the order of the graph.

    Args:
        graph: where the edges come from.
        negatives: ``random`` draws the irrelevant drug uniformly, ``similar`` among the nearest that may be drawn,
            ``popular`` among those that treat about as many diseases.
        balanced: draw no drug more often than it is relevant in its split, see ``balanced_draw``.
        split_by: what two splits never share; ``drug`` holds for relevant and irrelevant drugs alike.
        validation: share of the pairs, diseases or relevant drugs.
        test: likewise; what neither takes is for training.
        seed: of the experiment.
        relations: the true edges, by full name or beginning (``DRUGBANK::treats``); some of ``THERAPEUTIC`` may lack.
        limit: split -> pairs to keep at most; a split that is not named keeps all.
        embedding: ``(compounds, dim)``, aligned with ``graph.of_type("Compound")``, for ``similar``; ``None`` takes
            ``neighbourhood_embedding`` without the therapeutic edges.
        hardness: unless balanced, the ranks by nearness to the relevant drug that are drawn from: the first of them,
            and the first beyond. A window farther away makes the choice easier.
        eligible: whether a true (drug, disease) may be used, for instance because texts exist; asked before the split.
        drugs: the only drugs that may be used, as relevant or irrelevant; ``None`` for all.
        kin: disease -> its parents and children, where a hierarchy is known: their drugs are not irrelevant to it.

    Raises:
        KedrecError: unknown relations or splits, impossible shares, an embedding of another size, or no pair left.
    """
    limit = limit or {}
    check_splits(limit)
    therapeutic = graph.match_relations([*relations, *THERAPEUTIC], optional=THERAPEUTIC)
    stated = stated_edges(graph, therapeutic)
    asked = set(graph.match_relations(relations, optional=THERAPEUTIC))
    pool = {drug for drug, _ in stated if drugs is None or drug in drugs}
    usable = sorted(edge for edge, by in stated.items() if by & asked and edge[0] in pool)
    edges = [edge for edge in usable if eligible is None or eligible(*edge)]
    if not edges:
        raise KedrecError(f"no (drug, disease) pair is left of the {len(stated)} that the graph's relations state")
    homes, pools = _split(edges, pool, split_by, validation=validation, test=test, seed=seed)
    vector_of = drug_vectors(graph, negatives, stated, therapeutic, embedding)
    draw = chosen_draw(
        pools, treating_drugs(stated, kin or {}), vector_of, balanced=balanced, hardness=hardness, seed=seed
    )
    kind = f"{'balanced ' if balanced else ''}{negatives}"
    return [
        pair
        for name in SPLITS
        for pair in drawn_pairs([edge for edge in edges if homes[edge] == name], name, stated, draw, kind, limit, seed)
    ]


def drug_vectors(
    graph: KnowledgeGraph,
    negatives: Negatives,
    stated: Iterable[Edge],
    hidden: Sequence[str],
    embedding: npt.NDArray[np.floating] | None,
) -> Mapping[str, npt.NDArray[np.floating]] | None:
    """Return what likeness of drugs is measured by; ``None`` for random negatives.

    Args:
        graph: says which drugs are similar, where no ``embedding`` does.
        negatives: as in ``sample_pairs``.
        stated: true edges, which say how popular a drug is.
        hidden: relations that likeness must not see.
        embedding: as in ``sample_pairs``.
    """
    if negatives == "random":
        return None
    if negatives == "popular":
        return popularity_vectors(stated)
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
    """Return how irrelevant drugs are found; without vectors any drug will do."""
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
        edges: true ones of this split.
        name: of the split.
        stated: what states each edge, for the provenance.
        draw: finds the irrelevant drugs; an edge without one is left out, with a warning.
        kind: of the negatives, for the provenance.
        limit: most pairs a split.
        seed: of the experiment.
    """
    edges = sorted(edges, key=lambda edge: seeded_number(seed, "order", edge[1], edge[0]))[: limit.get(name)]
    found = [(edge, other) for edge, other in zip(edges, draw(edges, name), strict=True) if other]
    if left_out := len(edges) - len(found):
        log.warning("%s: %d pairs are left out: no drug is left that could be irrelevant", name, left_out)
    pairs = [
        Pair(disease, drug, other, name, at < len(found) // 2, f"{'|'.join(sorted(stated[drug, disease]))};{kind}")
        for at, ((drug, disease), other) in enumerate(found)
    ]
    return sorted(pairs, key=lambda pair: (pair.disease, pair.relevant))


def stated_edges(graph: KnowledgeGraph, relations: Sequence[str]) -> dict[Edge, set[str]]:
    """Return each (drug, disease) that the relations link, in either direction, with the relations that do so."""
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


def _split(
    edges: Sequence[Edge], pool: set[str], split_by: str, *, validation: float, test: float, seed: int
) -> tuple[dict[Edge, Split], dict[Split, list[str]]]:
    """Return each edge's split, and for each split the drugs, shuffled, that may be irrelevant in it."""
    shuffled = seeded_order(pool, seed, "pool")
    if split_by == "drug":
        relevant = {drug for drug, _ in edges}
        # The others go on their own, so that the shares of the relevant drugs are met.
        home_of = scatter_items(pool - relevant, validation, test, seed)
        home_of |= split_items(relevant, validation, test, seed)
        pools = {name: [drug for drug in shuffled if home_of[drug] == name] for name in SPLITS}
        return {edge: home_of[edge[0]] for edge in edges}, pools
    names = {edge: edge[1] if split_by == "disease" else "\t".join(edge) for edge in edges}
    home_of = split_items(names.values(), validation, test, seed)
    return {edge: home_of[name] for edge, name in names.items()}, dict.fromkeys(SPLITS, shuffled)


def save_pairs(pairs: Sequence[Pair], path: str | Path) -> None:
    """Write the pairs to a Parquet file with the columns of ``SCHEMA``, in their order."""
    pl.DataFrame([asdict(pair) for pair in pairs], schema=SCHEMA).write_parquet(path)


def load_pairs(path: str | Path) -> list[Pair]:
    """Read what ``save_pairs`` wrote.

    Raises:
        KedrecError: a missing file or one that is not Parquet, another set of columns or types, an empty cell, or an
            unknown split; with the file, the column and the row, counted from 1.
    """
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file; expected a Parquet file of pairs") from fault
    except pl.exceptions.ComputeError as fault:
        raise KedrecError(f"{path}: not a Parquet file ({fault})") from fault
    for column in frame.columns:
        if column not in SCHEMA:
            raise KedrecError(f"{path}: unknown column {column!r}; expected {', '.join(SCHEMA)}")
    for column, kind in SCHEMA.items():
        if column not in frame.columns:
            raise KedrecError(f"{path}: no column {column!r}; expected {', '.join(SCHEMA)}")
        if frame[column].dtype != kind:
            raise KedrecError(f"{path}: column {column!r} is {frame[column].dtype}, expected {kind}")
        if frame[column].null_count():
            raise KedrecError(f"{path}: row {frame[column].to_list().index(None) + 1}, column {column!r} is null")
    for row, name in enumerate(frame["split"], start=1):
        if name not in SPLITS:
            raise KedrecError(f"{path}: row {row}, column 'split': {name!r} is no split; expected {', '.join(SPLITS)}")
    return [Pair(**row) for row in frame.select(list(SCHEMA)).iter_rows(named=True)]
