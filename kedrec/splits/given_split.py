"""A split that is given, by a run's file or by pairs, and whether embeddings obey it."""

from collections.abc import Sequence

from kedrec.errors import KedrecError
from kedrec.graph.links import Edge
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.trained_treatments import linked_treatments
from kedrec.splits.manifest import Manifest
from kedrec.splits.pairs import Pair
from kedrec.splits.split_consistency import manifest_of_pairs


def given_manifest(path: str | None, named: NamedGraph, relations: Sequence[str]) -> Manifest | None:
    """Return the manifest that is to be obeyed, if one is given.

    Raises:
        KedrecError: it is damaged, of another graph, or leaves nothing for validation.
    """
    if path is None:
        return None
    manifest = Manifest.load(path)
    if not manifest.of("validation"):
        raise KedrecError(
            f"{path}: no treatment is in the validation split, which a student's best weights are taken by"
        )
    treatments = _treatments(named, relations)
    manifest.check(path, named.graph.source_hash, named.names_hash, treatments, named.canonical_id)
    return manifest


def manifest_by_pairs(named: NamedGraph, relations: Sequence[str], pairs: Sequence[Pair]) -> Manifest:
    """Return what pairs hold out that were given, or drawn of patients, as ``by_kept_ids`` returns them."""
    stated = _treatments(named, relations)
    return manifest_of_pairs(pairs, stated, named.graph.source_hash, named.names_hash)


def check_embeddings(exported: Exported, named: NamedGraph, manifest: Manifest, given: str | None) -> str:
    """Return, in words, how many of the test's treatments a run's embeddings may have been trained on.

    A run that has split by itself, or obeyed a split, says in its ``split.tsv`` what it held out: of that it has seen
    no link by any relation. Of another run, such as one on a graph that its authors split, each link between the ends
    counts that it was not asked.

    Args:
        exported: the run, which says which drugs are similar.
        named: the graph.
        manifest: of the split.
        given: where it was read; ``None`` where this experiment split by itself.

    Raises:
        KedrecError: the split was given and the run did not obey it, or is of another graph.
    """
    tested = manifest.of("test")
    if exported.split is None:
        linked = linked_treatments(exported, named.graph, named.canonical_rows)
        seen = sum(frozenset(edge) in linked for edge in tested)
    else:
        own = Manifest.load(exported.split)
        if given is not None and (own.graph, own.names) != (manifest.graph, manifest.names):
            raise KedrecError(
                f"data.init_args.embeddings: that run is of another graph or other names than {given}; train it on "
                "those with the same data.init_args.split"
            )
        seen = len(tested - own.of("validation", "test"))
    if seen and given is not None:
        raise KedrecError(
            f"data.init_args.embeddings: that run was trained on {seen} of the {len(tested)} treatments that {given} "
            "keeps for the test; train it with the same data.init_args.split"
        )
    return f"{seen} of {len(tested)} test treatments"


def _treatments(named: NamedGraph, relations: Sequence[str]) -> set[Edge]:
    graph = named.merged
    return set(stated_edges(graph, graph.match_relations([*relations, *THERAPEUTIC], THERAPEUTIC)))
