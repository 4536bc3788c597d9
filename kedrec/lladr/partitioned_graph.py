"""A graph read for link prediction: its names, the split of its treatments, and its triples partitioned by that."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph, load_graph
from kedrec.graph.named_graph import NamedGraph
from kedrec.lladr.triple_settings import PairSettings, SplitSettings
from kedrec.sources.graph.entity_names import find_entities_file, load_entity_info
from kedrec.splits.pairs import Pair, load_pairs
from kedrec.splits.split_consistency import by_canonical_ids, check_pairs
from kedrec.splits.split_creation import split_by_shares, split_from_file, split_from_pairs
from kedrec.splits.split_folder import is_split_folder, load_split
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.splits.triple_partition import TriplePartition, partition_triples
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash


@dataclass(frozen=True, eq=False)
class PartitionedGraph:
    """A graph and its triples for training, validation and test.

    Attributes:
        named: the graph, with names.
        entities_file: the file of names; ``None`` without one.
        triples: the partition.
        split: of the treatments; ``None`` where the graph's authors have split its triples.
        choices: test pairs of a student whose choices are scored too, by the ids of their file.
    """

    named: NamedGraph
    entities_file: Path | None
    triples: TriplePartition
    split: TreatmentSplit | None = None
    choices: list[Pair] = field(default_factory=list)

    @property
    def graph(self) -> KnowledgeGraph:
        """The triples, as they were read."""
        return self.named.graph


def load_partitioned_graph(
    path: str, relations: Sequence[str], split: SplitSettings, pairs: PairSettings, seed: int, store: Store
) -> PartitionedGraph:
    """Read a graph with its names and partition its triples, by the first of these that is there.

    These are the files of authors who have split the graph, the file of a split, the pairs of a student, and shares.

    Args:
        path: as `kedrec.lladr.triple_data.TripleData` takes it.
        relations: therapeutic relations.
        split: a file or shares.
        pairs: a student's; where a split's file is given too, they must be consistent with it.
        seed: of the shares.
        store: keeps the packed triples.

    Raises:
        KedrecError: a file is missing, malformed or of another graph, or as `kedrec.splits.split_creation`.
    """
    entities_file = find_entities_file(path)
    infos = load_entity_info(entities_file) if entities_file else {}
    names_hash = file_hash(entities_file) if entities_file else None
    if is_split_folder(path):
        for group, file in {"pairs": pairs.file, "split": split.file}.items():
            if file is not None:
                raise KedrecError(f"data.init_args.{group}.file: {path} is split already; leave `{group}.file` out")
        graph, partition = load_split(path, store)
        partition = replace(partition, tests={"pairs": partition.tests["test"]})
        return PartitionedGraph(NamedGraph(graph, infos, names_hash), entities_file, partition)
    named = NamedGraph(load_graph(path, store), infos, names_hash)
    given_pairs = load_pairs(pairs.file) if pairs.file else []
    canonical = by_canonical_ids(given_pairs, named.canonical_id)
    if split.file is not None:
        treatments = split_from_file(split.file, named, relations)
        check_pairs(canonical, treatments, str(pairs.file))
    elif given_pairs:
        treatments = split_from_pairs(named, relations, canonical)
    else:
        shares = {"validation": split.validation, "test": split.test}
        treatments = split_by_shares(named, relations, **shares, unseen_diseases=split.unseen_diseases, seed=seed)
    partition = partition_triples(named.graph, relations, treatments, named.canonical_rows)
    choices = [pair for pair in given_pairs if pair.split == "test"]
    return PartitionedGraph(named, entities_file, partition, treatments, choices)
