"""A knowledge graph as arrays: triples of rows into two vocabularies, parsed once and then read from the store."""

import contextlib
import functools
import json
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError, nearest
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import ENDINGS, find_beside
from kedrec.storage.hashing import file_hash, key_hash

log = logging.getLogger(__name__)

FORMAT = 1  # of the files in the store; raise it when they change
STEMS = ("triples.tsv", "drkg.tsv")  # kedrec's own name and the one DRKG ships


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Distinct triples over two vocabularies, all in order of first appearance, unless ``.dict`` files number the rows.

    Attributes:
        entities: row -> ``Type::id``, such as ``Compound::DB00945``.
        relations: row -> relation, such as ``DRUGBANK::treats::Compound:Disease``.
        triples: ``(n, 3)`` rows of head, relation, tail.
        duplicates: number of lines that repeat an earlier one; they are dropped.
        self_loops: number of lines whose head is their tail; they stay.
        source_hash: SHA-256 of the file's bytes, in hex; for a graph of several files, of their hashes.
    """

    entities: list[str]
    relations: list[str]
    triples: npt.NDArray[np.int32]
    duplicates: int
    self_loops: int
    source_hash: str

    @functools.cached_property
    def entity_rows(self) -> dict[str, int]:
        """Entity -> row."""
        return {entity: row for row, entity in enumerate(self.entities)}

    @functools.cached_property
    def relation_rows(self) -> dict[str, int]:
        """Relation -> row."""
        return {relation: row for row, relation in enumerate(self.relations)}

    def of_type(self, kind: str) -> npt.NDArray[np.int64]:
        """Return the rows of the entities of one type ("Compound"), ascending: ``(entities of the type,)``."""
        prefix = f"{kind}::"
        return np.array([row for row, entity in enumerate(self.entities) if entity.startswith(prefix)], dtype=np.int64)

    def edges(self, relations: Iterable[str]) -> npt.NDArray[np.int32]:
        """Return the triples of some relations, given by their full names: ``(edges, 3)``, in the graph's order."""
        rows = [self.relation_rows[relation] for relation in relations]
        return self.triples[np.isin(self.triples[:, 1], rows)]

    def match_relations(self, names: Sequence[str], optional: Sequence[str] = ()) -> list[str]:
        """Return the graph's relations that ``names`` match, in the graph's order.

        A name is a relation in full, or its beginning up to a ``::`` (``DRUGBANK::treats``). It also matches the
        relation with the two ends swapped (``DRUGBANK::treats::Disease:Compound``).

        Args:
            names: relations or their beginnings.
            optional: names that the graph may lack.

        Raises:
            KedrecError: a name that is not optional matches no relation, or none of the names matches any.
        """
        matches = {name: [relation for relation in self.relations if _matches(name, relation)] for name in names}
        allowed = {beginning for name in optional for beginning in (name, name.rpartition("::")[0])}
        for name, matched in matches.items():
            if not matched and name not in allowed:
                beginnings = [relation.rpartition("::")[0] for relation in self.relations]
                raise KedrecError(f"relation {name!r} is not in the graph{nearest(name, self.relations + beginnings)}")
        chosen = {relation for matched in matches.values() for relation in matched}
        if not chosen:
            raise KedrecError(f"none of the relations {', '.join(names)} is in the graph")
        return [relation for relation in self.relations if relation in chosen]


def _matches(name: str, relation: str) -> bool:
    swapped = re.sub(r"([^:]+):([^:]+)$", r"\2:\1", name)
    return relation in (name, swapped) or relation.startswith(f"{name}::")


def load_graph(path: str | Path, store: Store) -> KnowledgeGraph:
    """Load a graph from a headerless TSV of head, relation, tail; parsed once, then read from the store.

    Args:
        path: the file, plain, ``.gz`` or ``.zst``, or a folder that holds ``triples.tsv`` or ``drkg.tsv`` in one of
            these forms.
        store: holds the parsed arrays under the hash of the file's bytes.

    Raises:
        KedrecError: the file is missing, empty or damaged, or a line is not three non-empty UTF-8 fields with entities
            of the form ``Type::id``; with the file and the line.
    """
    source = _source(Path(path))
    sha256 = remembered_hash(source, store)
    folder = store.get("graph", {"sha256": sha256, "format": FORMAT}, lambda folder: _parse_into(source, folder))
    return read_graph(folder, sha256)


def _source(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise KedrecError(f"{path}: no such file; expected a TSV of head, relation, tail, or a folder that holds one")
    if file := find_beside(path, STEMS):
        return file
    accepted = ", ".join(f"{stem}{end}" for stem in STEMS for end in ENDINGS)
    raise KedrecError(f"{path}: no graph in this folder; expected one of {accepted}")


def remembered_hash(source: Path, store: Store) -> str:
    """Return the file's SHA-256, cached in the store by path, size and times: hashing takes longer than loading."""
    seen = source.stat()
    key = {"path": str(source.resolve()), "bytes": seen.st_size, "times": [seen.st_mtime_ns, seen.st_ctime_ns]}
    note = store.root / "graph" / "sources" / f"{key_hash(key)}.sha256"
    if note.is_file():
        return note.read_text(encoding="utf-8")
    sha256 = file_hash(source)
    # A file written just now may change again within the clock's grain: its hash is not worth remembering yet.
    if time.time_ns() - seen.st_ctime_ns > 2_000_000_000:
        with contextlib.suppress(OSError):  # a full or read-only store still serves graphs that it holds
            note.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(note, sha256)
    return sha256


def _parse_into(source: Path, folder: Path) -> None:
    from kedrec.graph.triple_parsing import parse_files

    lines, entities, relations, _ = parse_files([source])
    if not len(lines):
        raise KedrecError(f"{source}: the file is empty; expected lines of head, relation, tail")
    distinct = write_graph(folder, lines, entities, relations)
    log.info("%s: %d triples of %d lines", source, distinct.sum(), len(lines))


def pack_triples(triples: npt.NDArray[np.int32], entities: int, relations: int) -> npt.NDArray[np.int64]:
    """Return one number a triple, ``(n,)``, that no other triple of so many entities and relations shares."""
    return (triples[:, 0].astype(np.int64) * relations + triples[:, 1]) * entities + triples[:, 2]


def write_graph(
    folder: Path, lines: npt.NDArray[np.int32], entities: list[str], relations: list[str]
) -> npt.NDArray[np.bool_]:
    """Write distinct triples, vocabularies and counts into a folder; return which lines are the first of their kind."""
    import polars as pl

    distinct = pl.Series(pack_triples(lines, len(entities), len(relations))).is_first_distinct().to_numpy()
    counts = {"duplicates": int((~distinct).sum()), "self_loops": int((lines[:, 0] == lines[:, 2]).sum())}
    np.save(folder / "triples.npy", lines[distinct], allow_pickle=False)
    (folder / "entities.txt").write_bytes("\n".join(entities).encode())
    (folder / "relations.txt").write_bytes("\n".join(relations).encode())
    (folder / "counts.json").write_text(json.dumps(counts), encoding="utf-8")
    return distinct


def read_graph(folder: Path, source_hash: str) -> KnowledgeGraph:
    """Read what ``write_graph`` wrote into a folder."""
    counts = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
    # Not splitlines: a name may hold a rarer line separator.
    entities, relations = (
        (folder / name).read_bytes().decode().split("\n") for name in ("entities.txt", "relations.txt")
    )
    triples = np.load(folder / "triples.npy", allow_pickle=False)
    return KnowledgeGraph(entities, relations, triples, counts["duplicates"], counts["self_loops"], source_hash)
