"""The triples of a graph, partitioned by a treatment split: for training, for validation, and for the test sets."""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import edge_keys, linked_pairs
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.splits.treatment_split import TreatmentSplit

log = logging.getLogger(__name__)

_PARTS = ("train", "validation", "pairs", "diseases", "dropped")


@dataclass(frozen=True, eq=False)
class TriplePartition:
    """Triples for training, validation and test; rows are those of the graph's vocabularies.

    Attributes:
        train: ``(n, 3)`` rows of head, relation, tail.
        validation: ``(v, 3)``, maybe empty.
        tests: name of the test set ("pairs", "diseases" or "test") -> ``(t, 3)``.
        dropped: number of triples that are in no part, since they would leak an answer: other relations between the
            two ends of a held-out triple (``partition_triples``), or triples that an earlier file has too
            (``load_split``).
        canonical_rows: ``(entities,)`` row of each entity's canonical id; ``None`` where ids are not merged.
    """

    train: npt.NDArray[np.int32]
    validation: npt.NDArray[np.int32]
    tests: dict[str, npt.NDArray[np.int32]]
    dropped: int
    canonical_rows: npt.NDArray[np.int32] | None = None

    @property
    def held_out(self) -> npt.NDArray[np.int32]:
        """The triples of validation and of all test sets, ``(n, 3)``."""
        return np.concatenate([self.validation, *self.tests.values()])

    @functools.cached_property
    def unseen_entities(self) -> int:
        """Number of test triples with an end that no training triple has: the graph alone cannot rank them."""
        tested = np.concatenate([*self.tests.values()])[:, ::2]
        seen = np.zeros(max(self.train[:, ::2].max(initial=0), tested.max(initial=0)) + 1, dtype=np.bool_)
        seen[self.train[:, ::2]] = True
        return int((~seen[tested]).any(axis=1).sum())

    @functools.cached_property
    def leaking(self) -> int:
        """Number of training triples that link the ends of a test triple, or their synonyms, by any relation."""
        return int(np.isin(self._ends(self.train), self._ends(np.concatenate([*self.tests.values()]))).sum())

    def _ends(self, triples: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return one number for the two ends of each triple, ``(n,)``, whichever is the head."""
        ends = triples[:, ::2] if self.canonical_rows is None else self.canonical_rows[triples[:, ::2]]
        low, high = np.sort(ends.astype(np.int64), axis=1).T
        both: npt.NDArray[np.int64] = low << 32 | high
        return both

    def __str__(self) -> str:
        tests = ", ".join(f"{len(triples)} {name}" for name, triples in self.tests.items())
        return (
            f"{len(self.train)} training triples, {len(self.validation)} validation, test: {tests}; {self.dropped} are "
            f"dropped; {self.unseen_entities} test triples have an end that training lacks, {self.leaking} training "
            "triples link the ends of a test triple"
        )


def partition_triples(
    graph: KnowledgeGraph,
    relations: Sequence[str],
    split: TreatmentSplit,
    canonical_rows: npt.NDArray[np.int32] | None = None,
) -> TriplePartition:
    """Partition the triples of a graph by the split of its treatments.

    The therapeutic triples of a treatment share one part, whatever relation states them and in whichever direction.
    Any other triple between the ends of a held-out treatment would leak it and is dropped. Each part has the graph's
    order. The graph keeps every triple, so that filtered ranking knows all true answers.

    Args:
        graph: where the triples come from.
        relations: the therapeutic relations whose triples are validated and tested, by full name or beginning
            (``DRUGBANK::treats``); the graph may lack some of ``THERAPEUTIC``.
        split: of this graph's treatments, by canonical ids.
        canonical_rows: ``(entities,)`` row of each entity's canonical id; ``None`` where ids are not merged.

    Returns:
        The partition. Its test sets are "diseases", the triples of the split's unseen diseases, and "pairs", all others
        of the test split; each only where it can have triples.

    Raises:
        KedrecError: unknown relations, or the graph has no triple of them for any treatment of the test split.
    """
    names = graph.match_relations(relations, optional=THERAPEUTIC)
    therapeutic = np.isin(graph.triples[:, 1], [graph.relation_rows[name] for name in names])
    linked = linked_pairs(graph, canonical_rows)
    disease = np.where(linked >= 0, linked % len(graph.entities), -1)
    part = np.full(len(graph.triples), _PARTS.index("train"))
    for name, target in (("validation", "validation"), ("test", "pairs")):
        isolated = [one for one, of in split.isolated_diseases.items() if of == name]
        held = np.isin(linked, edge_keys(graph, [edge for edge, of in split.split_of.items() if of == name]))
        part[held | np.isin(disease, _rows(graph, isolated))] = _PARTS.index(target)
    unseen = np.isin(disease, _rows(graph, split.unseen_diseases))
    part[(part == _PARTS.index("pairs")) & unseen] = _PARTS.index("diseases")
    if not (therapeutic & (part >= _PARTS.index("pairs"))).any():
        raise KedrecError(f"the graph has no triple of {', '.join(names)} for any treatment of the test split")
    part = _without_leaking(part, therapeutic)
    triples = {name: graph.triples[part == row] for row, name in enumerate(_PARTS)}
    seen_diseases = {disease for _, disease in split.of("test")} - split.unseen_diseases
    tests = [*(["pairs"] if seen_diseases else []), *(["diseases"] if split.unseen_diseases else [])]
    partition = TriplePartition(
        triples["train"],
        triples["validation"],
        {name: triples[name] for name in tests},
        len(triples["dropped"]),
        canonical_rows,
    )
    log.info("%s", partition)
    return partition


def _without_leaking(part: npt.NDArray[np.int64], therapeutic: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the part of each triple, ``(n,)``, with other triples between held-out ends dropped."""
    return np.where((part != _PARTS.index("train")) & ~therapeutic, _PARTS.index("dropped"), part)


def _rows(graph: KnowledgeGraph, entities: Sequence[str] | frozenset[str]) -> list[int]:
    return [graph.entity_rows[entity] for entity in entities if entity in graph.entity_rows]
