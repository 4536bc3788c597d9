"""A split that is given, by a run's file or by pairs, and whether embeddings obey it."""

from collections.abc import Sequence

from kedrec.data.controls import linked_treatments
from kedrec.data.evidence import Library
from kedrec.errors import KedrecError
from kedrec.graph.manifest import Manifest
from kedrec.graph.negatives import Edge
from kedrec.graph.obeyed import manifest_of_pairs
from kedrec.graph.pairs import Pair
from kedrec.graph.treatments import THERAPEUTIC, stated_edges
from kedrec.nn.exported import Exported


def given_manifest(path: str | None, library: Library, relations: Sequence[str]) -> Manifest | None:
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
    treatments = _treatments(library, relations)
    manifest.check(path, library.graph.source_hash, library.names_hash, treatments, library.kept)
    return manifest


def manifest_by_pairs(library: Library, relations: Sequence[str], pairs: Sequence[Pair]) -> Manifest:
    """Return what pairs hold out that were given, or drawn of patients, as ``by_kept_ids`` returns them."""
    stated = _treatments(library, relations)
    return manifest_of_pairs(pairs, stated, library.graph.source_hash, library.names_hash)


def check_embeddings(exported: Exported, library: Library, manifest: Manifest, given: str | None) -> str:
    """Return, in words, how many of the test's treatments a run's embeddings may have been trained on.

    A run that has split by itself, or obeyed a split, says in its ``split.tsv`` what it held out: of that it has seen
    no link by any relation. Of another run, such as one on a graph that its authors split, each link between the ends
    counts that it was not asked.

    Args:
        exported: the run, which says which drugs are similar.
        library: has the graph.
        manifest: of the split.
        given: where it was read; ``None`` where this experiment split by itself.

    Raises:
        KedrecError: the split was given and the run did not obey it, or is of another graph.
    """
    tested = manifest.of("test")
    if exported.split is None:
        linked = linked_treatments(exported, library.graph, library.kept_rows)
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


def _treatments(library: Library, relations: Sequence[str]) -> set[Edge]:
    graph = library.merged_graph
    return set(stated_edges(graph, graph.match_relations([*relations, *THERAPEUTIC], THERAPEUTIC)))
