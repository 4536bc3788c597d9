"""A knowledge graph as arrays: triples of rows into two vocabularies, read once from TSV and then from the store."""

import contextlib
import functools
import io
import json
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kedrec.errors import KedrecError, nearest
from kedrec.sources.compressed import ENDINGS, find_beside, line_blocks
from kedrec.sources.names import is_entity
from kedrec.store import Store, file_hash, key_hash, write_atomic

log = logging.getLogger(__name__)

FORMAT = 1  # of the files in the store; a change of theirs needs another number
STEMS = ("triples.tsv", "drkg.tsv")  # kedrec's own name and the one DRKG ships
COLUMNS = ("head", "relation", "tail")


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Distinct triples over two vocabularies, all in order of first appearance, unless ``.dict`` files number the rows.

    Attributes:
        entities: row -> ``Type::id``, such as ``Compound::DB00945``.
        relations: row -> relation, such as ``DRUGBANK::treats::Compound:Disease``.
        triples: ``(n, 3)`` rows of head, relation, tail.
        duplicates: lines of the file that repeat an earlier one; they are dropped.
        self_loops: lines of the file whose head is their tail; they are kept.
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
        """Return the graph's relations that ``names`` mean, in the graph's order.

        A name is a relation in full, or its beginning up to a ``::`` (``DRUGBANK::treats``). It also means the
        relation with the two ends swapped (``DRUGBANK::treats::Disease:Compound``).

        Args:
            names: what to look for.
            optional: names that the graph may lack.

        Raises:
            KedrecError: a name that is not optional matches no relation, or none of the names matches any.
        """
        matches = {name: [relation for relation in self.relations if _means(name, relation)] for name in names}
        allowed = {beginning for name in optional for beginning in (name, name.rpartition("::")[0])}
        for name, found in matches.items():
            if not found and name not in allowed:
                beginnings = [relation.rpartition("::")[0] for relation in self.relations]
                raise KedrecError(f"relation {name!r} is not in the graph{nearest(name, self.relations + beginnings)}")
        wanted = {relation for found in matches.values() for relation in found}
        if not wanted:
            raise KedrecError(f"none of the relations {', '.join(names)} is in the graph")
        return [relation for relation in self.relations if relation in wanted]


def _means(name: str, relation: str) -> bool:
    swapped = re.sub(r"([^:]+):([^:]+)$", r"\2:\1", name)
    return relation in (name, swapped) or relation.startswith(f"{name}::")


def load_graph(path: str | Path, store: Store) -> KnowledgeGraph:
    """Load a graph from a headerless TSV of head, relation, tail; parsed once, then read from the store.

    Args:
        path: the file, plain, ``.gz`` or ``.zst``, or a folder that holds ``triples.tsv`` or ``drkg.tsv`` in one of
            these forms.
        store: where the parsed arrays are kept, under the hash of the file's bytes.

    Raises:
        KedrecError: no such file, an empty or damaged one, or a line that is not three non-empty UTF-8 fields with
            entities of the form ``Type::id``; with the file and the line.
    """
    source = _source(Path(path))
    sha256 = remembered_hash(source, store)
    folder = store.get("graph", {"sha256": sha256, "format": FORMAT}, lambda place: _parse_into(source, place))
    return read_graph(folder, sha256)


def _source(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise KedrecError(f"{path}: no such file; expected a TSV of head, relation, tail, or a folder that holds one")
    if found := find_beside(path, STEMS):
        return found
    looked_for = ", ".join(f"{stem}{end}" for stem in STEMS for end in ENDINGS)
    raise KedrecError(f"{path}: no graph in this folder; looked for {looked_for}")


def remembered_hash(source: Path, store: Store) -> str:
    """Return the file's SHA-256, kept in the store by path, size and times: hashing takes longer than loading."""
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


def _parse_into(source: Path, place: Path) -> None:
    lines, entities, relations, _ = parse_files([source])
    if not len(lines):
        raise KedrecError(f"{source}: the file is empty; expected lines of head, relation, tail")
    distinct = write_graph(place, lines, entities, relations)
    log.info("%s: %d triples of %d lines", source, distinct.sum(), len(lines))


def parse_files(sources: Sequence[Path]) -> tuple[npt.NDArray[np.int32], list[str], list[str], list[int]]:
    """Parse headerless TSVs of head, relation, tail into one pair of vocabularies, in order of first appearance.

    Returns:
        ``(lines, 3)`` rows of head, relation, tail, one file after the other; the entities; the relations; the number
        of lines of each file.

    Raises:
        KedrecError: as ``load_graph``, but an empty file has no lines and is no fault.
    """
    # Codes come from interning in parallel, so they depend on the machine; the order of appearance renames them.
    entity_names, relation_names = pl.Categories.random(), pl.Categories.random()
    # polars forgets names that no column uses any more: these two keep them from one block to the next.
    kept = [pl.Series(dtype=pl.Categorical(names)) for names in (entity_names, relation_names)]
    parts = [np.empty((0, 3), dtype=np.uint32)]
    lengths: list[int] = []
    for source in sources:
        line = 1
        for block in line_blocks(source):
            frame = _parse_block(source, block, line)
            line += frame.height
            columns = zip(COLUMNS, (kept[0].dtype, kept[1].dtype, kept[0].dtype), strict=True)
            parts.append(np.stack([frame[name].cast(kind).to_physical().to_numpy() for name, kind in columns], axis=1))
        lengths.append(line - 1)
    codes = np.concatenate(parts)
    del parts
    lines = np.empty(codes.shape, dtype=np.int32)
    lines[:, ::2], entities = _by_appearance(codes[:, ::2], entity_names.to_series())
    lines[:, 1:2], relations = _by_appearance(codes[:, 1:2], relation_names.to_series())
    for row, entity in enumerate(entities):
        if not is_entity(entity):
            place = place_of(int((lines[:, ::2] == row).any(axis=1).argmax()), sources, lengths)
            raise KedrecError(f"{place}: {entity!r} is not an entity; expected Type::id, such as Compound::DB00945")
    return lines, entities, relations, lengths


def place_of(index: int, sources: Sequence[Path], lengths: Sequence[int]) -> str:
    """Return "file, line number" for a line that ``parse_files`` returned, counted from 0 over all files."""
    ends = np.cumsum(lengths)
    file = int(np.searchsorted(ends, index, side="right"))
    return f"{sources[file]}, line {index - int(ends[file]) + lengths[file] + 1}"


def pack_triples(triples: npt.NDArray[np.int32], entities: int, relations: int) -> npt.NDArray[np.int64]:
    """Return one number a triple, ``(n,)``, that no other triple of so many entities and relations shares."""
    return (triples[:, 0].astype(np.int64) * relations + triples[:, 1]) * entities + triples[:, 2]


def write_graph(
    place: Path, lines: npt.NDArray[np.int32], entities: list[str], relations: list[str]
) -> npt.NDArray[np.bool_]:
    """Leave distinct triples, vocabularies and counts in the folder ``place``; return which lines are kept."""
    distinct = pl.Series(pack_triples(lines, len(entities), len(relations))).is_first_distinct().to_numpy()
    counts = {"duplicates": int((~distinct).sum()), "self_loops": int((lines[:, 0] == lines[:, 2]).sum())}
    np.save(place / "triples.npy", lines[distinct], allow_pickle=False)
    (place / "entities.txt").write_bytes("\n".join(entities).encode())
    (place / "relations.txt").write_bytes("\n".join(relations).encode())
    (place / "counts.json").write_text(json.dumps(counts), encoding="utf-8")
    return distinct


def read_graph(place: Path, source_hash: str) -> KnowledgeGraph:
    """Read what ``write_graph`` left in the folder ``place``."""
    counts = json.loads((place / "counts.json").read_text(encoding="utf-8"))
    # Not splitlines: a name may hold a rarer line separator.
    entities, relations = (
        (place / name).read_bytes().decode().split("\n") for name in ("entities.txt", "relations.txt")
    )
    triples = np.load(place / "triples.npy", allow_pickle=False)
    return KnowledgeGraph(entities, relations, triples, counts["duplicates"], counts["self_loops"], source_hash)


def _parse_block(source: Path, block: bytes, line: int) -> pl.DataFrame:
    """Return the block's three columns; ``line`` is the number of its first line."""
    schema = dict.fromkeys(COLUMNS, pl.String)
    try:
        frame = pl.read_csv(io.BytesIO(block), has_header=False, separator="\t", quote_char=None, schema=schema)
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as fault:
        raise _first_fault(source, block, line) from fault
    if any(frame.null_count().row(0)):
        raise _first_fault(source, block, line)
    return frame


def _first_fault(source: Path, block: bytes, line: int) -> KedrecError:
    """Return the error for the first line that polars could not take; it does not say which one it was."""
    for number, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=line):
        try:
            fields = raw.removesuffix(b"\r").decode().split("\t")
        except UnicodeDecodeError as fault:
            return KedrecError(f"{source}, line {number}: not UTF-8 ({fault.reason}); convert the file")
        if len(fields) != len(COLUMNS):
            return KedrecError(
                f"{source}, line {number}: {len(fields)} column(s), expected 3: head, relation, tail, tab-separated"
            )
        if "" in fields:
            return KedrecError(f"{source}, line {number}: the {COLUMNS[fields.index('')]} is empty")
    raise AssertionError(f"{source}: polars refuses lines {line} and on, and none of them looks wrong")


def _by_appearance(codes: npt.NDArray[np.uint32], names: pl.Series) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Renumber ``codes``, ``(lines, columns)``, in order of first appearance; return them with their names."""
    flat = codes.ravel()
    first = np.full(len(names), len(flat))
    first[flat[::-1]] = np.arange(len(flat) - 1, -1, -1)  # of repeated indices numpy keeps the last: the earliest place
    order = np.argsort(first)[: np.count_nonzero(first < len(flat))]  # polars may leave codes without a name
    rows = np.empty(len(names), dtype=np.int32)
    rows[order] = np.arange(len(order), dtype=np.int32)
    return rows[codes], names.gather(order).to_list()
