"""A split that is given, by a run's file or by pairs, and whether embeddings obey it."""

from collections.abc import Sequence

from kedrec.data.controls import trained_treatments
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
        KedrecError: it is damaged, or of another graph.
    """
    if path is None:
        return None
    manifest = Manifest.load(path)
    treatments = _treatments(library, relations)
    manifest.check(path, library.graph.source_hash, library.names_hash, treatments, library.kept)
    return manifest


def manifest_by_pairs(library: Library, relations: Sequence[str], pairs: Sequence[Pair]) -> Manifest:
    """Return what pairs hold out that were given, or drawn of patients, as ``by_kept_ids`` returns them."""
    stated = _treatments(library, relations)
    return manifest_of_pairs(pairs, stated, library.graph.source_hash, library.names_hash)


def check_embeddings(
    exported: Exported, library: Library, relations: Sequence[str], manifest: Manifest, given: str | None
) -> str:
    """Return, in words, how many of the test's treatments a run's embeddings were trained on.

    Args:
        exported: the run, which says which drugs are similar.
        library: has the graph.
        relations: therapeutic ones.
        manifest: of the split.
        given: where it was read; ``None`` where this experiment split by itself.

    Raises:
        KedrecError: the split was given and the run did not obey it.
    """
    trained = trained_treatments(exported, library.graph, relations, library.kept_rows)
    tested = manifest.of("test")
    seen = sum(frozenset(edge) in trained for edge in tested)
    if seen and given is not None:
        raise KedrecError(
            f"data.init_args.embeddings: that run was trained on {seen} of the {len(tested)} treatments that {given} "
            "keeps for the test; train it with the same data.init_args.split"
        )
    return f"{seen} of {len(tested)} test treatments"


def _treatments(library: Library, relations: Sequence[str]) -> set[Edge]:
    graph = library.merged_graph
    return set(stated_edges(graph, graph.match_relations([*relations, *THERAPEUTIC], THERAPEUTIC)))
