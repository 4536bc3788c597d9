"""Pairs and manifests: what a student's pairs hold out, and whether they ask what a manifest lets them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from kedrec.errors import KedrecError
from kedrec.graph.links import Edge
from kedrec.splits.manifest import Manifest
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS, Split


def by_kept_ids(pairs: Sequence[Pair], kept: Callable[[str], str]) -> list[Pair]:
    """Return the pairs with each entity by the id that stands for it and its namesakes.

    A pair that is given may name an entity by another of its ids; by that a manifest would know no treatment of it.

    Args:
        pairs: as they were given.
        kept: from an id to the one that stands for it.
    """
    return [
        replace(one, disease=kept(one.disease), relevant=kept(one.relevant), irrelevant=kept(one.irrelevant))
        for one in pairs
    ]


def manifest_of_pairs(pairs: Sequence[Pair], treatments: Collection[Edge], graph: str, names: str | None) -> Manifest:
    """Return the manifest of pairs that were given, not drawn.

    Held out is what they ask in validation and test and, of a disease that no training pair asks about, every
    treatment, as ``hold_out_pairs`` does it. All else is for training.

    Args:
        pairs: of all splits, as ``by_kept_ids`` returns them.
        treatments: those that the graph states, namesakes merged.
        graph: SHA-256 of the graph.
        names: SHA-256 of the file of its entities' names.
    """
    trained = {pair.disease for pair in pairs if pair.split == "train"}
    split_of: dict[Edge, Split] = dict.fromkeys(sorted(treatments), "train")
    for split in SPLITS:  # what two splits ask belongs to the later one
        asked = [pair for pair in pairs if pair.split == split]
        whole = {pair.disease for pair in asked} - trained
        split_of |= {edge: split for edge in treatments if edge[1] in whole}
        split_of |= {(pair.relevant, pair.disease): split for pair in asked}
    return Manifest("pairs as given", None, graph, names, None, split_of)


def check_pairs(pairs: Sequence[Pair], manifest: Manifest, place: str) -> None:
    """Make sure that each pair asks about a treatment of its own split, and shows none of a later split as irrelevant.

    Args:
        pairs: what is asked, as ``by_kept_ids`` returns it.
        manifest: what has to be obeyed.
        place: where the pairs are from, for the message.

    Raises:
        KedrecError: one does not; with the pair.
    """
    for pair in pairs:
        home = manifest.split_of.get((pair.relevant, pair.disease))
        if home != pair.split:
            raise KedrecError(
                f"{place}: {pair.split} asks about {pair.relevant} for {pair.disease}, which the split "
                + (f"has in {home}" if home else "does not name")
                + "; each treatment may be asked about in its own split alone"
            )
        other = manifest.split_of.get((pair.irrelevant, pair.disease), "train")
        if SPLITS.index(other) > SPLITS.index(pair.split):
            raise KedrecError(
                f"{place}: {pair.split} calls {pair.irrelevant} irrelevant to {pair.disease}, a treatment "
                f"of it in {other}; leave that pair out, or draw another drug"
            )
