"""A knowledge graph with the names of its entities, and the canonical ids of entities that share a name."""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph, load_graph
from kedrec.graph.synonyms import canonical_rows, merge_synonyms
from kedrec.sources.graph.entity_names import EntityInfo, find_entities_file, load_entity_info
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash


class NamedGraph:
    """A graph, the names of its entities, and which drugs and diseases are one under several ids.

    Args:
        graph: the triples, as they were read.
        infos: entity id to its names and description.
        names_hash: SHA-256 of the file of names; ``None`` where there is none.
    """

    def __init__(
        self, graph: KnowledgeGraph, infos: Mapping[str, EntityInfo] | None = None, names_hash: str | None = None
    ) -> None:
        self.graph = graph
        self.infos: dict[str, EntityInfo] = dict(infos or {})
        self.names_hash = names_hash

    @classmethod
    def load(cls, path: str, store: Store) -> "NamedGraph":
        """Read a graph and the names that lie beside it.

        Args:
            path: a triples file or a folder that holds one, as ``load_graph`` takes it.
            store: keeps the packed triples.

        Raises:
            KedrecError: a file is missing or malformed.
        """
        graph = load_graph(path, store)
        names_file = find_entities_file(path)
        if names_file is None:
            return cls(graph)
        return cls(graph, load_entity_info(names_file), file_hash(names_file))

    def with_names(self, infos: Mapping[str, EntityInfo]) -> "NamedGraph":
        """Return the graph with the names of further entities, which the graph lacks."""
        extended = copy(self)
        extended.infos = {**self.infos, **infos}
        return extended

    def names(self, entity: str) -> tuple[str, ...]:
        """Return the names of an entity, the preferred one first; its id where it has none."""
        return spoken_names(entity, self.infos.get(entity))

    @cached_property
    def canonical_rows(self) -> NDArray[np.int32]:
        """``(entities,)``: for each entity the row of the canonical one among those that share a name with it.

        Only drugs and diseases are merged; any other entity is canonical itself.
        """
        return canonical_rows(self.graph, self.names, ("Compound", "Disease"))

    def canonical_id(self, entity: str) -> str:
        """Return the canonical id of an entity; an entity that the graph lacks is canonical itself."""
        row = self.graph.entity_rows.get(entity)
        return entity if row is None else self.graph.entities[self.canonical_rows[row]]

    def synonymous_ids(self, canonical: str) -> Sequence[str]:
        """Return all ids whose canonical id this is, itself among them."""
        return self._synonymous_ids.get(canonical, (canonical,))

    @cached_property
    def merged(self) -> KnowledgeGraph:
        """The graph with each drug and disease under its canonical id; pairs are sampled from it."""
        return merge_synonyms(self.graph, self.canonical_rows)

    @cached_property
    def _synonymous_ids(self) -> dict[str, list[str]]:
        rows, entities = self.canonical_rows, self.graph.entities
        ids: dict[str, list[str]] = {}
        for row in np.flatnonzero(rows != np.arange(len(rows))).tolist():
            canonical = entities[rows[row]]
            ids.setdefault(canonical, [canonical]).append(entities[row])
        return ids


def load_named_graph(path: str | Path, store: Store | None = None) -> NamedGraph:
    """Read a graph and the names that lie beside it.

    Args:
        path: a triples file or a folder that holds one.
        store: keeps the packed triples; ``None`` for the default store.

    Raises:
        KedrecError: a file is missing or malformed.
    """
    return NamedGraph.load(str(path), store or Store())


def spoken_names(entity: str, info: EntityInfo | None) -> tuple[str, ...]:
    """Return the names of an entity as prose writes them, the preferred one first; its id where it has none.

    MeSH writes some names with the noun first; their spoken order is put before the written one.

    >>> spoken_names("Disease::MESH:D003865", EntityInfo("Depressive Disorder, Major", (), ""))
    ('Major Depressive Disorder', 'Depressive Disorder, Major')
    """
    if info is None or not info.name:
        return (entity,)
    names: list[str] = []
    for name in (info.name, *info.synonyms):
        parts = name.split(", ")
        if len(parts) == 2:
            names.append(f"{parts[1]} {parts[0]}")
        names.append(name)
    return tuple(dict.fromkeys(names))
