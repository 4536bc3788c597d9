"""Samples an irrelevant drug for each true (drug, disease): one by one, or balanced, as often as it is relevant."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import Edge
from kedrec.graph.similarity import nearest_first, unit_rows
from kedrec.splits.seeded_split import Split, seeded_number, seeded_order

Draw = Callable[[Sequence[Edge], Split], list[str | None]]
"""From the edges of a split to an irrelevant drug for each; None where there is none."""

_BLOCK = 1024  # edges that are assigned together, which takes about a second


def random_draw(pools: Mapping[Split, Sequence[str]], treating: Mapping[str, set[str]], seed: int) -> Draw:
    """Return a uniform draw among the split's drugs that do not treat the disease.

    Args:
        pools: for each split the drugs that may be irrelevant in it.
        treating: disease to the drugs that treat it.
        seed: of the experiment.
    """
    index_of = {home: {drug: index for index, drug in enumerate(pool)} for home, pool in pools.items()}

    def one(edge: Edge, home: Split) -> str | None:
        taken = sorted(index_of[home][drug] for drug in treating[edge[1]] if drug in index_of[home])
        if not (free := len(pools[home]) - len(taken)):
            return None
        chosen = seeded_number(seed, "irrelevant", *edge) % free
        for index in taken:  # counts over the free drugs without listing them for each disease
            chosen += index <= chosen
        return pools[home][chosen]

    return lambda edges, home: [one(edge, home) for edge in edges]


def similar_draw(
    pools: Mapping[Split, Sequence[str]],
    treating: Mapping[str, set[str]],
    vector_of: Mapping[str, npt.NDArray[np.floating]],
    *,
    window: tuple[int, int],
    seed: int,
) -> Draw:
    """Return a draw among the nearest, by cosine, of the split's drugs that do not treat the disease.

    Args:
        pools: for each split the drugs that may be irrelevant in it.
        treating: disease to the drugs that treat it.
        vector_of: drug to its embedding.
        window: the ranks that are drawn from, the first of them and the first beyond; (0, 10) are the ten nearest.
            Where there are not so many drugs, the farthest is taken.
        seed: of the experiment.
    """
    pool = seeded_order(set().union(*pools.values()), seed, "pool")
    allowed = {home: set(members) for home, members in pools.items()}
    ranked = nearest_first(pool, np.stack([vector_of[drug] for drug in pool]))

    def one(edge: Edge, home: Split) -> str | None:
        others = (pool[row] for row in ranked(edge[0]))
        free = (drug for drug in others if drug in allowed[home] and drug not in treating[edge[1]])
        first, beyond = window
        near = list(itertools.islice(free, beyond))
        near = near[first:] or near[-1:]
        return near[seeded_number(seed, "irrelevant", *edge) % len(near)] if near else None

    def draw(edges: Sequence[Edge], home: Split) -> list[str | None]:
        in_turn = sorted(edges)  # the order of queries that `nearest_first` expects
        drawn = {edge: one(edge, home) for edge in in_turn}
        return [drawn[edge] for edge in edges]

    return draw


def balanced_draw(
    treating: Mapping[str, set[str]], vector_of: Mapping[str, npt.NDArray[np.floating]] | None, seed: int
) -> Draw:
    """Return balanced sampling: each of the split's relevant drugs is irrelevant as often as it is relevant.

    Sampled one by one, a drug of few diseases is mostly irrelevant, and where its diseases are held out it is always
    irrelevant in training: a model that learns which drugs are mostly relevant is then below chance on unseen diseases.
    With balanced sampling a drug's name alone is no evidence. Among all assignments within a block of 1,024 edges that
    of the greatest similarity is taken (linear assignment; without vectors a random one). An edge without a free drug
    gets None.

    Args:
        treating: disease to the drugs that treat it.
        vector_of: drug to its embedding; ``None`` assigns at random.
        seed: of the experiment.
    """

    def assign(block: Sequence[Edge]) -> list[str | None]:
        from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

        drugs = [drug for drug, _ in block]
        if vector_of is None:
            rows = [seeded_number(seed, "irrelevant", *edge) for edge in block]
            gain: npt.NDArray[np.float64] = np.stack([np.random.default_rng(row).random(len(block)) for row in rows])
        else:
            unit = unit_rows(np.stack([vector_of[drug] for drug in drugs]))
            gain = (unit @ unit.T).astype(np.float64).round(5)
        barred = np.array([[drug in treating[disease] for drug in drugs] for _, disease in block])
        gain[barred] = -4.0 * len(block)  # worse than all others together
        edges, slots = linear_sum_assignment(gain, maximize=True)
        return [None if barred[edge, slot] else drugs[slot] for edge, slot in zip(edges, slots, strict=True)]

    return lambda edges, _: [
        drug for start in range(0, len(edges), _BLOCK) for drug in assign(edges[start : start + _BLOCK])
    ]


def popularity_vectors(stated: Iterable[tuple[str, str]], drugs: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Return drug to a point on a quarter circle by how many diseases it treats.

    The cosine of two drugs falls with the difference in the rank of that number: drugs of equal popularity are nearest.

    Args:
        stated: distinct (drug, disease).
        drugs: all that may be drawn; one that ``stated`` lacks treats none.
    """
    counts = Counter(drug for drug, _ in stated)
    times = {drug: counts[drug] for drug in drugs}
    levels = sorted(set(times.values()))
    angles = {number: level / max(1, len(levels) - 1) * np.pi / 2 for level, number in enumerate(levels)}
    return {
        drug: np.array([np.cos(angles[number]), np.sin(angles[number])], dtype=np.float32)
        for drug, number in times.items()
    }


def compound_vectors(graph: KnowledgeGraph, embedding: npt.NDArray[np.floating]) -> dict[str, npt.NDArray[np.floating]]:
    """Return drug to row of an embedding ``(compounds, dim)`` aligned with ``graph.of_type("Compound")``.

    Raises:
        KedrecError: the embedding has another number of rows.
    """
    compounds = graph.of_type("Compound")
    if len(embedding) != len(compounds):
        raise KedrecError(f"the drug embedding has {len(embedding)} rows, but the graph has {len(compounds)} compounds")
    return {graph.entities[row]: embedding[at] for at, row in enumerate(compounds)}
