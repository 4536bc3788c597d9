"""Paths from a drug to a disease through one or two other entities, rare links before common ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError, nearest
from kedrec.graph.entity_types import type_codes
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.path_scores import Tally, blocks, rarest, rarity
from kedrec.sources.graph.entity_ids import entity_type

DAMPING = 0.4  # w of Himmelstein and Baranzini
_BLOCK = 1 << 20  # edges that are looked at together: 40 MB or so


@dataclass(frozen=True)
class Edge:
    """A link between two neighbours of a path.

    Attributes:
        relation: in full.
        source: the database it is from: the relation's part before the first ``::``.
        forward: whether the relation's head comes first on the way from the drug.
    """

    relation: str
    source: str
    forward: bool


@dataclass(frozen=True)
class Path:
    """A way from a drug to a disease.

    Attributes:
        nodes: ids, the drug first, the disease last.
        steps: for each two neighbours all their links, the rarest kind first.
        score: product of degrees, damped; 0 to 1, higher is better.
    """

    nodes: tuple[str, ...]
    steps: tuple[tuple[Edge, ...], ...]
    score: float

    @property
    def types(self) -> str:
        """The meta-path: ``Compound-Gene-Disease``."""
        return "-".join(entity_type(node) for node in self.nodes)


@dataclass(frozen=True)
class MetaPath:
    """All paths with entities of the same types.

    Attributes:
        types: ``Compound-Gene-Disease``.
        paths: how many there are.
        dwpc: sum of their scores, the degree-weighted path count.
    """

    types: str
    paths: int
    dwpc: float


@dataclass(frozen=True)
class Found:
    """The paths from a drug to a disease.

    Attributes:
        best: the best paths, best first.
        metapaths: by types, the greatest sum first.
        direct: links between the two themselves, without the excluded relations.
    """

    best: tuple[Path, ...]
    metapaths: tuple[MetaPath, ...]
    direct: tuple[Edge, ...]


def types_between(metapath: str, kinds: Sequence[str], first: str, last: str) -> list[str]:
    """Return the types between the ends of a meta-path, as the graph writes them.

    Args:
        metapath: ``Compound-Gene-Disease``, in any case.
        kinds: the types of the graph.
        first: type of the one end.
        last: type of the other.

    Raises:
        KedrecError: a type is unknown, or there are not one or two types between the two ends.
    """
    written = {kind.casefold(): kind for kind in kinds}
    parts = [part.strip() for part in metapath.split("-")]
    for part in parts:
        if part.casefold() not in written:
            known = ", ".join(sorted(kinds))
            raise KedrecError(
                f"metapath {metapath!r}: unknown type {part!r}{nearest(part, kinds)}; expected some of {known}"
            )
    types = [written[part.casefold()] for part in parts]
    if len(types) not in (3, 4) or (types[0], types[-1]) != (first, last):
        such = f"{first}-Gene-{last}"
        raise KedrecError(f"metapath {metapath!r}: expected one or two types between two ends, such as {such}")
    return types[1:-1]


class PathFinder:
    """Finds the paths drug - x - disease and drug - x - y - disease of a graph.

    A path's score is the path-degree product of Himmelstein and Baranzini (PLOS Computational Biology 2015,
    doi:10.1371/journal.pcbi.1004259; Himmelstein et al., eLife 2017, doi:10.7554/eLife.26726): over its links, the
    product of (degree of the one end * degree of the other) ** -w, the degree of an entity counting its edges of that
    relation alone. Where several relations link the same two entities the rarest counts. Their sum over all paths
    with the same types is the degree-weighted path count. Links are walked in both directions.

    Links of all kinds are held once per direction, 20 bytes each; a search reads the edges of the drug's neighbours,
    1,048,576 at a time, even where hubs are among them, and retains the best paths alone.

    Args:
        graph: with synonyms merged.
        excluded: full names of relations that do not explain why a drug treats a disease: the therapeutic ones. They
            are left out between the drug and the disease of a query, and stay elsewhere.
        damping: w, 0 to 1; how much common links count less.
    """

    def __init__(self, graph: KnowledgeGraph, excluded: Sequence[str], damping: float = DAMPING) -> None:
        self.graph = graph
        self._excluded = {graph.relation_rows[name] for name in excluded}
        self.kinds, self._kind = type_codes(graph.entities)
        triples = graph.triples[graph.triples[:, 0] != graph.triples[:, 2]]
        weight = rarity(graph, triples, damping)
        head, relation, tail = triples.T.astype(np.int64)
        # both directions, sorted by where a link starts
        start, end = np.concatenate([head, tail]), np.concatenate([tail, head])
        order = np.lexsort((end, start))
        self._end: NDArray[np.int32] = end[order].astype(np.int32)
        self._weight: NDArray[np.float64] = np.concatenate([weight, weight])[order]
        coded = np.concatenate([relation, ~relation])[order]  # ~r: walked from tail to head
        self._relation: NDArray[np.int32] = coded.astype(np.int32)
        self._first: NDArray[np.int64] = np.searchsorted(start[order], np.arange(len(graph.entities) + 1))

    def find(self, drug: str, disease: str, top: int = 5, metapath: str | None = None) -> Found:
        """Return the best paths.

        Args:
            drug: id.
            disease: id.
            top: how many paths.
            metapath: restricts the types of the entities on the way, ``Compound-Gene-Disease``, in any case.

        Raises:
            KedrecError: an entity is not in the graph, or the meta-path does not lead from one's type to the other's.
        """
        for entity in (drug, disease):
            if entity not in self.graph.entity_rows:
                raise KedrecError(f"{entity}: not in the graph{nearest(entity, self.graph.entities)}")
        ends = self.graph.entity_rows[drug], self.graph.entity_rows[disease]
        between = None if metapath is None else self._between(metapath, ends)
        sides = _Sides(*self._neighbours(ends[0], without=ends), *self._neighbours(ends[1], without=ends))
        tally = Tally(top, self._kind)
        if between is None or len(between) == 1:
            self._through_one(sides, between, tally)
        if between is None or len(between) == 2:
            self._through_two(sides, between, tally)
        return Found(
            tuple(self._path((ends[0], *rows, ends[1]), score) for score, rows in tally.best),
            tuple(sorted(self._metapaths(tally, ends), key=lambda one: (-one.dwpc, one.types))),
            self._edges(*ends, answers=False),
        )

    def _between(self, metapath: str, ends: tuple[int, int]) -> list[int]:
        """Return the types of the entities between the two ends, as numbers."""
        kinds = [str(kind) for kind in self.kinds]
        first, last = (kinds[self._kind[end]] for end in ends)
        return [kinds.index(kind) for kind in types_between(metapath, kinds, first, last)]

    def _neighbours(self, row: int, without: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return distinct neighbours, ascending, and the weight of the rarest link to each."""
        links = slice(self._first[row], self._first[row + 1])
        neighbours, weight = rarest(self._end[links].astype(np.int64), self._weight[links])
        other = ~np.isin(neighbours, without)
        return neighbours[other], weight[other]

    def _through_one(self, sides: "_Sides", between: list[int] | None, tally: Tally) -> None:
        rows, near_drug, near_disease = np.intersect1d(
            sides.drug, sides.disease, assume_unique=True, return_indices=True
        )
        scores = sides.drug_weight[near_drug] * sides.disease_weight[near_disease]
        fitting = slice(None) if between is None else self._kind[rows] == between[0]
        tally.add(rows[fitting, None], scores[fitting])

    def _through_two(self, sides: "_Sides", between: list[int] | None, tally: Tally) -> None:
        if between is not None:
            sides = sides.restricted(self._kind[sides.drug] == between[0], self._kind[sides.disease] == between[1])
        to_disease = np.zeros(len(self.graph.entities))
        to_disease[sides.disease] = sides.disease_weight
        lengths = self._first[sides.drug + 1] - self._first[sides.drug]
        for block in blocks(lengths, _BLOCK):
            origin = np.repeat(np.arange(block.start, block.stop), lengths[block])
            within = np.arange(len(origin)) - np.repeat(np.cumsum(lengths[block]) - lengths[block], lengths[block])
            links = self._first[sides.drug[origin]] + within
            reaching = to_disease[self._end[links]] > 0
            origin, links = origin[reaching], links[reaching]
            number = origin * len(self.graph.entities) + self._end[links]
            number, middle = rarest(number, self._weight[links])
            origin, end = np.divmod(number, len(self.graph.entities))
            scores = sides.drug_weight[origin] * middle * to_disease[end]
            tally.add(np.stack([sides.drug[origin], end], axis=1), scores)

    def _metapaths(self, tally: Tally, ends: tuple[int, int]) -> Iterator[MetaPath]:
        for between, (paths, dwpc) in tally.sums.items():
            kinds = (int(self._kind[ends[0]]), *between, int(self._kind[ends[1]]))
            yield MetaPath("-".join(str(self.kinds[kind]) for kind in kinds), paths, dwpc)

    def _path(self, rows: Sequence[int], score: float) -> Path:
        steps = tuple(self._edges(one, other, answers=True) for one, other in pairwise(rows))
        return Path(tuple(self.graph.entities[row] for row in rows), steps, score)

    def _edges(self, one: int, other: int, *, answers: bool) -> tuple[Edge, ...]:
        """Return all links between two entities, rarest kind first; without ``answers`` no excluded one."""
        links = np.arange(self._first[one], self._first[one + 1])
        links = links[self._end[links] == other]
        edges = []
        for at in sorted(links.tolist(), key=lambda at: (-self._weight[at], int(self._relation[at]))):
            coded = int(self._relation[at])
            row = coded if coded >= 0 else ~coded
            if answers or row not in self._excluded:
                name = self.graph.relations[row]
                edges.append(Edge(name, name.partition("::")[0], coded >= 0))
        return tuple(edges)


@dataclass(frozen=True)
class _Sides:
    """Distinct neighbours of the two ends, ascending rows, and the weight of the rarest link to each."""

    drug: NDArray[np.int64]
    drug_weight: NDArray[np.float64]
    disease: NDArray[np.int64]
    disease_weight: NDArray[np.float64]

    def restricted(self, of_drug: NDArray[np.bool_], of_disease: NDArray[np.bool_]) -> "_Sides":
        return _Sides(
            self.drug[of_drug], self.drug_weight[of_drug], self.disease[of_disease], self.disease_weight[of_disease]
        )
