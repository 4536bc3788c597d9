"""Scores of many paths at a time: the best paths, and sums by the types of the entities on the way."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph


class Tally:
    """The best of all paths that are added, ties broken by their rows, and their number and sum by types.

    Args:
        top: number of best paths.
        kind: type of each entity, as a number.
    """

    def __init__(self, top: int, kind: NDArray[np.int64]) -> None:
        self.top = top
        self.kind = kind
        self.best: list[tuple[float, tuple[int, ...]]] = []
        self.sums: dict[tuple[int, ...], tuple[int, float]] = {}

    def add(self, between: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Add paths: ``(n, 1 or 2)`` rows of the entities between the ends, and the scores, ``(n,)``."""
        kinds, index = np.unique(self.kind[between], axis=0, return_inverse=True)
        totals = np.bincount(index.ravel(), scores, minlength=len(kinds))
        counts = np.bincount(index.ravel(), minlength=len(kinds))
        for kind, count, total in zip(kinds.tolist(), counts.tolist(), totals.tolist(), strict=True):
            before = self.sums.get(tuple(kind), (0, 0.0))
            self.sums[tuple(kind)] = (before[0] + count, before[1] + total)
        if len(scores) > self.top:
            least = np.partition(scores, -self.top)[-self.top]
            between, scores = between[scores >= least], scores[scores >= least]
        new = [(score, tuple(rows)) for score, rows in zip(scores.tolist(), between.tolist(), strict=True)]
        self.best = sorted([*self.best, *new], key=lambda one: (-one[0], one[1]))[: self.top]


def rarity(graph: KnowledgeGraph, triples: NDArray[np.int32], damping: float) -> NDArray[np.float64]:
    """Return for each triple, ``(n,)``, the damped product of its ends' degrees in its relation."""
    relations = len(graph.relations)
    head, relation, tail = triples.T.astype(np.int64)
    ends = np.concatenate([head * relations + relation, tail * relations + relation])
    _, index, counts = np.unique(ends, return_inverse=True, return_counts=True)
    degrees = counts[index].reshape(2, -1)
    weight: NDArray[np.float64] = (degrees[0] * degrees[1]).astype(np.float64) ** -damping
    return weight


def rarest(number: NDArray[np.int64], weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the distinct numbers, ascending, each with its greatest weight."""
    order = np.lexsort((-weight, number))
    number, weight = number[order], weight[order]
    first = np.ones(len(number), dtype=bool)
    first[1:] = number[1:] != number[:-1]
    return number[first], weight[first]


def blocks(lengths: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Yield runs of the lengths that sum to at most ``size``; a longer length is a run of its own."""
    start, held = 0, 0
    for at, length in enumerate(lengths.tolist()):
        if held and held + length > size:
            yield slice(start, at)
            start, held = at, 0
        held += length
    if len(lengths):
        yield slice(start, len(lengths))
