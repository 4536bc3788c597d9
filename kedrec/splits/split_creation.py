"""Treatment splits: made by pair, disease, drug or date, derived from given pairs, or read from a file."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.links import Edge
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges, therapeutic_relations
from kedrec.sources.text.dates import last_day
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS, Split, cut_days, scatter_items, seeded_order, split_items
from kedrec.splits.treatment_split import TreatmentSplit

SplitBy = Literal["pair", "disease", "drug", "date"]


def treatments_of(named: NamedGraph, relations: Sequence[str]) -> set[Edge]:
    """Return the (drug, disease), by canonical ids, that a graph states by ``relations`` or ``THERAPEUTIC``."""
    return set(stated_edges(named.merged, therapeutic_relations(named.merged, relations)))


def split_from_file(path: str, named: NamedGraph, relations: Sequence[str]) -> TreatmentSplit:
    """Read a split and make sure that it was made for a graph.

    Raises:
        KedrecError: the file is missing or malformed, or of another graph.
    """
    split = TreatmentSplit.load(path)
    treatments = treatments_of(named, relations)
    split.check_graph(path, named.graph.source_hash, named.names_hash, treatments, named.canonical_id)
    return split


def given_split(path: str | None, named: NamedGraph, relations: Sequence[str]) -> TreatmentSplit | None:
    """Read the split of a student's data, if a file of one is given; it must have treatments for validation.

    Raises:
        KedrecError: as ``split_from_file``, or no treatment is in the validation split.
    """
    if path is None:
        return None
    if not TreatmentSplit.load(path).of("validation"):
        raise KedrecError(
            f"{path}: no treatment is in the validation split, which selects the best checkpoint of a student; add some"
        )
    return split_from_file(path, named, relations)


def split_from_pairs(named: NamedGraph, relations: Sequence[str], pairs: Sequence[Pair]) -> TreatmentSplit:
    """Return the split that pairs from a file, or from patient data, imply.

    The treatments that validation and test pairs ask about are held out. A disease that no training pair asks about is
    isolated: all its treatments, and all its other links to drugs, are held out. Everything else is for training. A
    treatment that pairs of two splits ask about belongs to the later split.

    Args:
        named: the graph.
        relations: therapeutic relations in addition to ``THERAPEUTIC``.
        pairs: of all splits, by canonical ids.
    """
    treatments = treatments_of(named, relations)
    trained = {pair.disease for pair in pairs if pair.split == "train"}
    split_of: dict[Edge, Split] = dict.fromkeys(sorted(treatments), "train")
    isolated: dict[str, Split] = {}
    for split in SPLITS:  # the later split wins
        of_split = [pair for pair in pairs if pair.split == split]
        isolated |= dict.fromkeys(sorted({pair.disease for pair in of_split} - trained), split)
        split_of |= {edge: split for edge in treatments if isolated.get(edge[1]) == split}
        split_of |= {(pair.relevant, pair.disease): split for pair in of_split}
    return TreatmentSplit(
        "pairs as given", None, named.graph.source_hash, named.names_hash, None, split_of, isolated_diseases=isolated
    )


def split_by_shares(
    named: NamedGraph, relations: Sequence[str], *, validation: float, test: float, unseen_diseases: int, seed: int
) -> TreatmentSplit:
    """Split the treatments of a graph by pair, and hold out all treatments of some diseases.

    Names and seed alone decide, not the order of the graph. Diseases and pairs are shuffled as ``split_treatments``
    does it: under one seed, the first that it tests are held out here.

    Args:
        named: the graph.
        relations: the relations whose treatments are held out, by full name or beginning (``DRUGBANK::treats``); the
            graph may lack some of ``THERAPEUTIC``.
        validation: share of the pairs of all other diseases.
        test: likewise; 0 for no such pairs.
        unseen_diseases: number of diseases whose treatments are all in the test split; 0 for none.
        seed: of the experiment.

    Raises:
        KedrecError: unknown relations or ones that link no compound to a disease, an empty test split, impossible
            shares, or too few diseases or pairs.
    """
    if test == 0 and unseen_diseases == 0:
        raise KedrecError("test and unseen_diseases are both 0, so that nothing is left to test; set one of them above")
    names = named.merged.match_relations(relations, optional=THERAPEUTIC)
    pairs = set(stated_edges(named.merged, names))
    if not pairs:
        raise KedrecError(f"no triple of {', '.join(names)} links a compound to a disease; name therapeutic relations")
    diseases = seeded_order((disease for _, disease in pairs), seed, "split")
    if not 0 <= unseen_diseases < len(diseases):
        raise KedrecError(
            f"unseen_diseases is {unseen_diseases}, but the graph has {len(diseases)} diseases with a therapeutic "
            f"pair; expected 0 to {len(diseases) - 1}, so that some are left for training"
        )
    unseen = frozenset(diseases[:unseen_diseases])
    others = ("\t".join(pair) for pair in pairs if pair[1] not in unseen)
    split_of_pair = split_items(others, validation, test, seed)
    split_of: dict[Edge, Split] = dict.fromkeys(sorted(treatments_of(named, relations)), "train")
    split_of |= {pair: "test" if pair[1] in unseen else split_of_pair["\t".join(pair)] for pair in pairs}
    return TreatmentSplit(
        f"pair, and all treatments of {unseen_diseases} diseases",
        seed,
        named.graph.source_hash,
        named.names_hash,
        None,
        split_of,
        unseen_diseases=unseen,
    )


def eligible_treatments(
    graph: KnowledgeGraph,
    relations: Sequence[str],
    eligible: Callable[[str, str], bool] | None,
    drugs: Collection[str] | None,
) -> tuple[dict[Edge, set[str]], list[Edge], set[str]]:
    """Return all treatments with the relations that state them, the eligible treatments, and the eligible drugs.

    Arguments and errors are those of ``split_treatments``.
    """
    stated = stated_edges(graph, therapeutic_relations(graph, relations))
    chosen = set(graph.match_relations(relations, optional=THERAPEUTIC))
    pool = {drug for drug, _ in stated if drugs is None or drug in drugs}
    usable = sorted(edge for edge, by in stated.items() if by & chosen and edge[0] in pool)
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
) -> TreatmentSplit:
    """Split the (drug, disease) with an edge of ``relations`` or ``THERAPEUTIC``; names and seed alone decide.

    The shares are shares of the eligible treatments. Any other treatment goes with its disease or drug where these are
    split, with its date where the split is by date, and is otherwise for training.

    Args:
        graph: with synonyms merged.
        split_by: what two splits never share: a ``pair``, a ``disease``, a ``drug``; or ``date``: the latest pairs are
            for the test, those before for validation, all of one day in one split, and those without a date, which
            cannot be known to be late, for training.
        validation: share of the pairs, diseases, relevant drugs or dated pairs.
        test: likewise; what neither takes is for training.
        seed: of the experiment.
        relations: as in ``sample_pairs``.
        eligible: likewise.
        drugs: likewise.
        dated: from (drug, disease) to the date when a text first named both, ``''`` where none did; for ``date``.

    Raises:
        KedrecError: unknown relations, impossible shares, no dates, or no pair left.
    """
    stated, edges, pool = eligible_treatments(graph, relations, eligible, drugs)
    dates: dict[Edge, str] = {}
    splits: dict[Edge, Split] = {}
    if split_by == "date":
        if dated is None:
            raise KedrecError("data.init_args.split.by: date needs texts with dates; there are none")
        dates = {edge: date for edge in stated if (date := dated(*edge))}
        splits = split_by_date(dates, edges, validation, test)
    elif split_by == "drug":
        relevant = {drug for drug, _ in edges}
        # The other drugs are split separately, so that the shares of the relevant drugs are met.
        split_of_drug = scatter_items(pool - relevant, validation, test, seed)
        split_of_drug |= split_items(relevant, validation, test, seed)
        splits = {edge: split_of_drug[edge[0]] for edge in stated if edge[0] in split_of_drug}
    else:
        names = {edge: edge[1] if split_by == "disease" else "\t".join(edge) for edge in stated}
        split_of_name = split_items((names[edge] for edge in edges), validation, test, seed)
        splits = {edge: split_of_name[name] for edge, name in names.items() if name in split_of_name}
    split_of: dict[Edge, Split] = {edge: splits.get(edge, "train") for edge in stated}
    seed_used = None if split_by == "date" else seed
    return TreatmentSplit(split_by, seed_used, graph.source_hash, None, None, split_of, dates)


def split_by_date(
    dates: Mapping[Edge, str], eligible: Iterable[Edge], validation: float, test: float
) -> dict[Edge, Split]:
    """Split treatments by when a text first named both ends: the latest are for the test, those before for validation.

    Args:
        dates: of the treatments that have one, as ``TreatmentSplit.dates``.
        eligible: the treatments whose shares are met, see ``cut_days``; the others are cut at the same days.
        validation: share of the dated among ``eligible``.
        test: likewise.

    Raises:
        KedrecError: as ``cut_days``.
    """
    days = {edge: day for edge, written in dates.items() if (day := last_day(written))}
    first_validation, first_test = cut_days([days[edge] for edge in eligible if edge in days], validation, test)
    return {
        edge: "test" if day >= first_test else "validation" if day >= first_validation else "train"
        for edge, day in days.items()
    }
