"""The queries of link-prediction tests, with all their true answers, in batches that fit in memory."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.vocabulary import Side
from kedrec.lladr.triple_batches import ChoiceBatch, RepurposingBatch
from kedrec.splits.pairs import Pair
from kedrec.splits.triple_partition import TriplePartition

Triples = NDArray[np.int32]
SIDES: tuple[Side, Side] = ("head", "tail")


class KnownAnswers:
    """All true answers of any query, from the triples of all splits.

    Args:
        triples: ``(n, 3)``.
        relations: size of the vocabulary.
    """

    def __init__(self, triples: Triples, relations: int) -> None:
        self.relations = relations
        self._keys: dict[Side, NDArray[np.int64]] = {}
        self._answers: dict[Side, NDArray[np.int32]] = {}
        for side in SIDES:
            keys = query_keys(triples, side, relations)
            order = np.argsort(keys, kind="stable")
            self._keys[side] = keys[order]
            self._answers[side] = triples[order, 0 if side == "head" else 2]

    def of(self, queries: NDArray[np.int64], missing: Side) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the answers of ``(queries,)`` keys: ascending rows of the queries, and entities, ``(known,)`` each."""
        begin = np.searchsorted(self._keys[missing], queries, side="left")
        count = np.searchsorted(self._keys[missing], queries, side="right") - begin
        row = np.repeat(np.arange(len(queries)), count)
        within = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        return row, self._answers[missing][begin[row] + within]


def query_keys(triples: Triples, missing: Side, relations: int) -> NDArray[np.int64]:
    """Return one number per triple, ``(n,)``, for its query: the entity on the other side, and the relation."""
    given = triples[:, 2 if missing == "head" else 0].astype(np.int64)
    return given * relations + triples[:, 1]


def ranking_batches(
    name: str,
    triples: Triples,
    types: NDArray[np.int64],
    degrees: NDArray[np.int64],
    known: KnownAnswers,
    queries: int,
) -> Iterator[RankingBatch]:
    """Yield both sides of a test set's triples as queries.

    Args:
        name: of the test set.
        triples: ``(t, 3)``.
        types: ``(entities,)`` code of each entity's type.
        degrees: ``(entities,)`` training triples of each entity.
        known: the true answers.
        queries: most queries a batch.
    """
    for side in SIDES:
        targets = triples[:, 0 if side == "head" else 2]
        keys = query_keys(triples, side, known.relations)
        for kind in np.unique(types[targets]):
            of_kind = np.flatnonzero(types[targets] == kind)
            candidates = torch.from_numpy(np.flatnonzero(types == kind))
            distinct, query = np.unique(keys[of_kind], return_inverse=True)
            for start in range(0, len(distinct), queries):
                part = distinct[start : start + queries]
                in_batch = (query >= start) & (query < start + queries)
                rows = of_kind[in_batch]
                known_query, answers = known.of(part, side)
                yield RankingBatch(
                    name=name,
                    side=side,
                    entity=torch.from_numpy(part // known.relations),
                    relation=torch.from_numpy(part % known.relations),
                    candidates=candidates,
                    triple=torch.from_numpy(rows),
                    query=torch.from_numpy(query[in_batch] - start),
                    target=torch.from_numpy(targets[rows]).long(),
                    degree=torch.from_numpy(degrees[targets[rows]]),
                    known_query=torch.from_numpy(known_query),
                    known=torch.from_numpy(answers).long(),
                    candidate_degree=torch.from_numpy(degrees[types == kind]),
                )


def choice_batch(
    pairs: Sequence[Pair], row_of: Mapping[str, int], relations: Sequence[tuple[int, Side]]
) -> ChoiceBatch:
    """Return the choices between the two drugs of a student's pairs, for pairs whose three entities the graph has.

    Args:
        pairs: of the test.
        row_of: entity -> row.
        relations: therapeutic relations, each with the side on which the drug stands.
    """
    known = [one for one in pairs if {one.disease, one.relevant, one.irrelevant} <= row_of.keys()]
    return ChoiceBatch(
        pair=tuple("|".join((one.disease, one.relevant, one.irrelevant)) for one in known),
        disease=torch.tensor([row_of[one.disease] for one in known]),
        drugs=torch.tensor([[row_of[one.relevant], row_of[one.irrelevant]] for one in known]),
        relation=torch.tensor([relation for relation, _ in relations]),
        missing=tuple(missing for _, missing in relations),
    )


def repurposing_batch(
    diseases: NDArray[np.int64],
    compounds: NDArray[np.int64],
    relations: Sequence[tuple[int, Side]],
    splits: Sequence[Triples],
) -> RepurposingBatch:
    """Return the question which compounds treat each of some diseases.

    Args:
        diseases: ``(d,)`` rows, ascending.
        compounds: ``(c,)`` rows, ascending.
        relations: therapeutic relations, each with the side on which the compound stands.
        splits: triples of training, validation and test, ``(n, 3)`` each.
    """
    parts: list[NDArray[np.int64]] = []
    for split, triples in enumerate(splits):
        for relation, missing in relations:
            stated = triples[triples[:, 1] == relation]
            sides = stated[:, [2, 0]] if missing == "head" else stated[:, [0, 2]]
            edges = sides[np.isin(sides[:, 0], diseases) & np.isin(sides[:, 1], compounds)]
            rows = (np.searchsorted(diseases, edges[:, 0]), np.searchsorted(compounds, edges[:, 1]))
            parts.append(np.stack([*rows, np.full(len(edges), split)], axis=1))
    known = torch.from_numpy(np.unique(np.concatenate(parts), axis=0))
    return RepurposingBatch(
        disease=torch.from_numpy(diseases),
        relation=torch.tensor([relation for relation, _ in relations]),
        missing=tuple(missing for _, missing in relations),
        compounds=torch.from_numpy(compounds),
        known_disease=known[:, 0],
        known=known[:, 1],
        known_split=known[:, 2],
    )


def therapeutic_sides(graph: KnowledgeGraph, relations: Sequence[str]) -> list[tuple[int, Side]]:
    """Return the rows of some relations, each with the side or sides on which the graph has compounds."""
    compounds = graph.of_type("Compound")
    sides: list[tuple[int, Side]] = []
    for row in (graph.relation_rows[name] for name in relations):
        triples = graph.triples[graph.triples[:, 1] == row]
        for side, ends in zip(SIDES, triples[:, ::2].T, strict=True):
            if np.isin(ends, compounds).any():
                sides.append((row, side))
    return sides


def repurposing_batches(
    graph: KnowledgeGraph, partition: TriplePartition, relations: Sequence[tuple[int, Side]], size: int
) -> Iterator[RepurposingBatch]:
    """Yield the question which compounds treat each disease of a test set.

    Args:
        graph: has the vocabularies.
        partition: of its triples, before noise, which does not change what is known.
        relations: therapeutic relations, each with the side on which the compound stands; maybe none.
        size: most diseases a batch.
    """
    if not relations:
        return
    tested = np.concatenate([*partition.tests.values()])
    diseases = np.intersect1d(graph.of_type("Disease"), tested[:, ::2])
    splits = (partition.train, partition.validation, tested)
    for start in range(0, len(diseases), size):
        yield repurposing_batch(diseases[start : start + size], graph.of_type("Compound"), relations, splits)
