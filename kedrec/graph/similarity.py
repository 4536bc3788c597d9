"""An embedding of drugs by the neighbours that they share in the graph."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]


def neighbourhood_embedding(
    graph: KnowledgeGraph, *, without: Sequence[str], dim: int = 512
) -> npt.NDArray[np.float32]:
    """Embed each compound by its neighbours: TF-IDF over (relation, direction, entity), projected at random.

    Two drugs with similar rows act on the same genes, share classes and side effects: their cosine is that of the
    TF-IDF vectors, up to about ``dim ** -0.5`` (Johnson and Lindenstrauss). A truncated SVD tells close drugs apart
    less well: on the project's real graph a drug shares a disease with 15 % of its 10 nearest under 64 singular
    vectors, 19 % under 256 (28 s), 22 % under this projection to 512 (1 s), 24 % under the exact cosine.
    The result does not depend on the order of the graph's triples.

    Args:
        graph: where the neighbours come from.
        without: relations, by full name, that are left out: the therapeutic ones, which are predicted.
        dim: columns of the result.

    Returns:
        ``(compounds, dim)`` rows of unit length, aligned with ``graph.of_type("Compound")``; zeros for a compound that
        shares no neighbour with another.

    Raises:
        KedrecError: no two compounds share a neighbour.
    """
    compounds = graph.of_type("Compound")
    by_name = np.argsort(np.array(graph.entities)[compounds])
    weights = _weights(_incidence(graph, compounds[by_name], without))
    if not weights.nnz:
        raise KedrecError("no two drugs share a neighbour in the graph, so that none is similar; use random negatives")
    directions = np.random.default_rng(0).standard_normal((weights.shape[1], dim), dtype=np.float32)
    projected: npt.NDArray[np.float32] = weights @ directions
    lengths = np.linalg.norm(projected, axis=1, keepdims=True)
    rows = np.empty_like(projected)
    rows[by_name] = projected / np.where(lengths > 0, lengths, 1)
    return rows


def _incidence(graph: KnowledgeGraph, compounds: npt.NDArray[np.int64], without: Sequence[str]) -> "csr_array":
    """Return which compound has which neighbour: ``(compounds, features)`` of ones, both sides in order of names."""
    from scipy.sparse import csr_array

    excluded = [graph.relation_rows[relation] for relation in without]
    head, relation, tail = graph.triples[~np.isin(graph.triples[:, 1], excluded)].T.astype(np.int64)
    row_of = np.full(len(graph.entities), -1)
    row_of[compounds] = np.arange(len(compounds))
    entity_rank = np.argsort(np.argsort(np.array(graph.entities)))
    relation_rank = np.argsort(np.argsort(np.array(graph.relations)))
    features = [  # a drug as head and a drug as tail of the same relation are different facts about it
        ((relation_rank[relation] * 2 + direction) * len(graph.entities) + entity_rank[other], row_of[drug])
        for direction, drug, other in ((0, head, tail), (1, tail, head))
    ]
    feature, row = (np.concatenate(side) for side in zip(*features, strict=True))
    feature, row = feature[row >= 0], row[row >= 0]
    kinds, column = np.unique(feature, return_inverse=True)
    ones = np.ones(len(row), dtype=np.float32)
    return csr_array((ones, (row, column)), shape=(len(compounds), len(kinds)))


def _weights(incidence: "csr_array") -> "csr_array":
    """Weigh each neighbour by how few drugs have it, and scale each drug to unit length."""
    from scipy.sparse import diags_array

    drugs_with = incidence.sum(axis=0)
    shared = drugs_with > 1  # a neighbour of one drug says nothing of overlap
    rarity = np.log1p(incidence.shape[0] / drugs_with[shared]).astype(np.float32)
    weighted = incidence[:, shared] @ diags_array(rarity)
    lengths = np.sqrt((weighted**2).sum(axis=1))
    return diags_array(1 / np.where(lengths > 0, lengths, 1)) @ weighted


def unit_rows(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the rows scaled to length 1; a row of zeros stays."""
    rows = vectors.astype(np.float32)
    unit: npt.NDArray[np.float32] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny
    )
    return unit


def nearest_first(names: Sequence[str], vectors: npt.NDArray[np.floating]) -> Callable[[str], npt.NDArray[np.int64]]:
    """Return a function from a name to all rows of ``names``, its own among them, by falling cosine.

    Call it in the order of the sorted names: similarities are held for one block of 256 names at a time.

    Args:
        names: distinct; of two that are equally near, the first in this order comes first.
        vectors: ``(names, dim)``; a row of zeros is equally near to all.
    """
    unit = unit_rows(vectors)
    by_name = sorted(range(len(names)), key=names.__getitem__)
    turn = {names[place]: number for number, place in enumerate(by_name)}

    @functools.lru_cache(maxsize=1)
    def similarities(block: int) -> npt.NDArray[np.float32]:
        queries = unit[by_name[block * 256 : (block + 1) * 256]]
        # Rounded, so that what is equal stays equal in the last digits of each machine's arithmetic.
        rounded: npt.NDArray[np.float32] = np.round(queries @ unit.T, 5)
        return rounded

    @functools.lru_cache(maxsize=1)
    def ranked(name: str) -> npt.NDArray[np.int64]:
        return np.argsort(-similarities(turn[name] // 256)[turn[name] % 256], kind="stable")

    return ranked
