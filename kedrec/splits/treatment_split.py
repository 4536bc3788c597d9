"""The therapeutic (drug, disease) of a graph, and their split."""

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import Edge
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.splits.manifest import Manifest, split_by_date
from kedrec.splits.seeded_split import Split, scatter_items, split_items

SplitBy = Literal["pair", "disease", "drug", "date"]


def asked_treatments(
    graph: KnowledgeGraph,
    relations: Sequence[str],
    eligible: Callable[[str, str], bool] | None,
    drugs: Collection[str] | None,
) -> tuple[dict[Edge, set[str]], list[Edge], set[str]]:
    """Return all treatments with what states them, those that may be asked about, and the drugs that may be.

    Arguments and errors are those of ``split_treatments``.
    """
    stated = stated_edges(graph, graph.match_relations([*relations, *THERAPEUTIC], optional=THERAPEUTIC))
    asked = set(graph.match_relations(relations, optional=THERAPEUTIC))
    pool = {drug for drug, _ in stated if drugs is None or drug in drugs}
    usable = sorted(edge for edge, by in stated.items() if by & asked and edge[0] in pool)
    edges = [edge for edge in usable if eligible is None or eligible(*edge)]
    if not edges:
        raise KedrecError(f"no (drug, disease) pair is left of the {len(stated)} that the graph's relations state")
    return stated, edges, pool


def split_treatments(
    graph: KnowledgeGraph,
    *,
    split_by: SplitBy,
    validation: float,
    test: float,
    seed: int,
    relations: Sequence[str] = THERAPEUTIC,
    eligible: Callable[[str, str], bool] | None = None,
    drugs: Collection[str] | None = None,
    dated: Callable[[str, str], str] | None = None,
) -> Manifest:
    """Split the (drug, disease) with an edge of ``relations`` or ``THERAPEUTIC``; names and seed alone decide.

    The shares are those of what may be asked about. Of the rest a treatment goes with its disease or drug where these
    are split, with its date where that is, and else is for training.

    Args:
        graph: with namesakes merged.
        split_by: what two splits never share: a ``pair``, a ``disease``, a ``drug``; or ``date``: the latest pairs are
            for the test, those before for validation, all of a day in one split, and those without a date, of which
            nobody can say that they are late, for training.
        validation: share of the pairs, diseases, relevant drugs or dated pairs.
        test: likewise; what neither takes is for training.
        seed: of the experiment.
        relations: as in ``sample_pairs``.
        eligible: likewise.
        drugs: likewise.
        dated: a (drug, disease) to when a text first named both, ``''`` where none did; ``date`` needs it.

    Raises:
        KedrecError: unknown relations, impossible shares, no dates, or no pair left.
    """
    stated, edges, pool = asked_treatments(graph, relations, eligible, drugs)
    dates: dict[Edge, str] = {}
    homes: dict[Edge, Split] = {}
    if split_by == "date":
        if dated is None:
            raise KedrecError("data.init_args.split_by: date needs texts with dates; there are none yet")
        dates = {edge: date for edge in stated if (date := dated(*edge))}
        homes = split_by_date(dates, edges, validation, test)
    elif split_by == "drug":
        relevant = {drug for drug, _ in edges}
        # The others go on their own, so that the shares of the relevant drugs are met.
        home_of = scatter_items(pool - relevant, validation, test, seed)
        home_of |= split_items(relevant, validation, test, seed)
        homes = {edge: home_of[edge[0]] for edge in stated if edge[0] in home_of}
    else:
        names = {edge: edge[1] if split_by == "disease" else "\t".join(edge) for edge in stated}
        home_of = split_items((names[edge] for edge in edges), validation, test, seed)
        homes = {edge: home_of[name] for edge, name in names.items() if name in home_of}
    split_of: dict[Edge, Split] = {edge: homes.get(edge, "train") for edge in stated}
    return Manifest(split_by, None if split_by == "date" else seed, graph.source_hash, None, None, split_of, dates)
