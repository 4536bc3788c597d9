"""Checks that pairs, and embeddings of another run, are consistent with a treatment split."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kedrec.errors import KedrecError
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.trained_treatments import linked_treatments
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS
from kedrec.splits.treatment_split import TreatmentSplit


def by_canonical_ids(pairs: Sequence[Pair], canonical_id: Callable[[str], str]) -> list[Pair]:
    """Return the pairs with each entity under its canonical id, by which a split knows it.

    Args:
        pairs: which may name an entity by any of its ids.
        canonical_id: from an entity id to its canonical id.
    """
    return [
        replace(
            pair,
            disease=canonical_id(pair.disease),
            relevant=canonical_id(pair.relevant),
            irrelevant=canonical_id(pair.irrelevant),
        )
        for pair in pairs
    ]


def check_pairs(pairs: Sequence[Pair], split: TreatmentSplit, source: str) -> None:
    """Make sure that each pair is about a treatment of its own split, and that its irrelevant drug leaks no later one.

    Args:
        pairs: by canonical ids.
        split: of the treatments.
        source: where the pairs are from, for the message.

    Raises:
        KedrecError: a pair is not; with the pair.
    """
    for pair in pairs:
        split_of_treatment = split.split_of.get((pair.relevant, pair.disease))
        if split_of_treatment != pair.split:
            raise KedrecError(
                f"{source}: a {pair.split} pair asks about {pair.relevant} for {pair.disease}, which the split "
                + (f"has in {split_of_treatment}" if split_of_treatment else "does not name")
                + "; a pair may only ask about a treatment of its own split"
            )
        other = split.split_of.get((pair.irrelevant, pair.disease), "train")
        if SPLITS.index(other) > SPLITS.index(pair.split):
            raise KedrecError(
                f"{source}: a {pair.split} pair calls {pair.irrelevant} irrelevant to {pair.disease}, a treatment "
                f"of it in {other}; remove that pair, or draw another drug"
            )


def check_embeddings(exported: Exported, named: NamedGraph, split: TreatmentSplit, path: str | None) -> str:
    """Report how many of the test treatments the embeddings of a run may have been trained on.

    The ``split.tsv`` of that run lists what it held out: it was trained on no link between the ends of these. Where it
    has none, such as on a graph that its authors split, every link between the ends of a treatment counts that it did
    not hold out.

    Args:
        exported: the run's embeddings.
        named: the graph.
        split: of the treatments.
        path: the file of the split; ``None`` where this experiment made the split.

    Returns:
        "2 of 40 test treatments", for the run's card.

    Raises:
        KedrecError: the split is from a file, and the run was trained on a test treatment of it or on another graph.
    """
    tested = split.of("test")
    if exported.split is None:
        linked = linked_treatments(exported, named.graph, named.canonical_rows)
        seen = sum(frozenset(edge) in linked for edge in tested)
    else:
        own = TreatmentSplit.load(exported.split)
        if path is not None and (own.graph, own.names) != (split.graph, split.names):
            raise KedrecError(
                f"data.init_args.pairs.embeddings: that run is of another graph or other names than {path}; train it "
                "on those with the same data.init_args.split.file"
            )
        seen = len(tested - own.held_out)
    if seen and path is not None:
        raise KedrecError(
            f"data.init_args.pairs.embeddings: that run was trained on {seen} of the {len(tested)} treatments that "
            f"{path} holds out for the test; train it with the same data.init_args.split.file"
        )
    return f"{seen} of {len(tested)} test treatments"
