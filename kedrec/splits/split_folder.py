"""A graph that its authors have split: train.txt, valid.txt, test.txt and, optionally, the .dict files of RotatE."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph, pack_triples, read_graph, remembered_hash, write_graph
from kedrec.splits.triple_partition import TriplePartition
from kedrec.storage.artifact_store import Store
from kedrec.storage.compressed_text import ENDINGS, find_beside, text_lines

log = logging.getLogger(__name__)

FORMAT = 1  # of the files in the store; raise it when they change
# A triple of several files belongs to the first of these: no tested triple is trained on or validated.
PARTS = {"train": "train.txt", "test": "test.txt", "validation": "valid.txt"}
DICTS = {"entities": "entities.dict", "relations": "relations.dict"}


def is_split_folder(path: str | Path) -> bool:
    """Return whether ``path`` is a folder with a ``train.txt``, plain, ``.gz`` or ``.zst``."""
    return find_beside(Path(path), (PARTS["train"],)) is not None


def load_split(path: str | Path, store: Store) -> tuple[KnowledgeGraph, TriplePartition]:
    r"""Load a split graph, parsed once and then read from the store.

    Each file is plain, ``.gz`` or ``.zst``. ``train.txt``, ``valid.txt`` (may be empty) and ``test.txt`` are headerless
    TSVs of head, relation, tail. ``entities.dict`` and ``relations.dict``, lines of ``row\tname``, are optional and
    number the rows, also of names without a triple. Without them rows are in order of first appearance in train, test,
    valid. A triple that a file repeats counts once; a triple of an earlier file is dropped from a later one.

    Args:
        path: the folder.
        store: holds the parsed arrays under the hashes of the files' bytes.

    Returns:
        The graph of all triples, those of the training first, and their partition with the one test set "test".

    Raises:
        KedrecError: a file is missing, empty or malformed (as in ``load_graph``), a dict lacks or repeats a name or
            leaves gaps between rows, or no test triple is left; with the file and the line.
    """
    folder = Path(path)
    parts = {part: _find(folder, name) for part, name in PARTS.items()}
    dicts = {kind: file for kind, name in DICTS.items() if (file := find_beside(folder, (name,)))}
    key = {"files": {name: remembered_hash(file, store) for name, file in (parts | dicts).items()}, "format": FORMAT}
    parsed = store.get("split", key, lambda folder: _parse_into(parts, dicts, folder))
    graph = read_graph(parsed, hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest())
    counts = json.loads((parsed / "parts.json").read_text(encoding="utf-8"))
    for part, repeated in counts["repeated"].items():
        if repeated:
            log.warning("%s: %d triple(s) are dropped, since an earlier file has them too", parts[part], repeated)
    ends = np.cumsum([counts["kept"]["train"], counts["kept"]["test"]])
    train, test, validation = np.split(graph.triples, ends)
    partition = TriplePartition(train, validation, {"test": test}, sum(counts["repeated"].values()))
    log.info("%s: %s", folder, partition)
    return graph, partition


def _find(folder: Path, name: str) -> Path:
    if file := find_beside(folder, (name,)):
        return file
    accepted = ", ".join(f"{name}{end}" for end in ENDINGS)
    raise KedrecError(
        f"{folder}: none of {accepted} is in this folder; expected train.txt, test.txt and valid.txt; write an empty "
        "valid.txt where there is no validation"
    )


def _parse_into(parts: Mapping[str, Path], dicts: Mapping[str, Path], folder: Path) -> None:
    """Parse the files and write the graph into a folder, with the number of triples of each part."""
    import polars as pl

    from kedrec.graph.triple_parsing import parse_files

    sources = list(parts.values())
    lines, entities, relations, lengths = parse_files(sources)
    for (part, source), length in zip(parts.items(), lengths, strict=True):
        if part != "validation" and not length:
            raise KedrecError(f"{source}: the file is empty; expected lines of head, relation, tail")
    if "entities" in dicts:
        entities = _renumber(lines, [0, 2], entities, dicts["entities"], sources, lengths)
    if "relations" in dicts:
        relations = _renumber(lines, [1], relations, dicts["relations"], sources, lengths)
    distinct = write_graph(folder, lines, entities, relations)
    packed = pack_triples(lines, len(entities), len(relations))
    rows_of = dict(zip(parts, np.split(np.arange(len(lines)), np.cumsum(lengths)[:-1]), strict=True))
    retained = {part: int(distinct[rows].sum()) for part, rows in rows_of.items()}
    listed = {part: pl.Series(packed[rows]).n_unique() for part, rows in rows_of.items()}
    if not retained["test"]:
        raise KedrecError(f"{parts['test']}: {parts['train']} has all of its triples too; hold some out of training")
    counts = {"kept": retained, "repeated": {part: listed[part] - retained[part] for part in parts}}
    (folder / "parts.json").write_text(json.dumps(counts), encoding="utf-8")


def _renumber(
    lines: npt.NDArray[np.int32],
    columns: list[int],
    names: list[str],
    path: Path,
    sources: list[Path],
    lengths: list[int],
) -> list[str]:
    """Give the names in some columns of ``lines``, ``(n, 3)``, the rows of a dict; return the dict's names by row."""
    from kedrec.graph.triple_parsing import line_of

    row_of = _read_dict(path)
    for row, name in enumerate(names):
        if name not in row_of:
            line = line_of(int((lines[:, columns] == row).any(axis=1).argmax()), sources, lengths)
            raise KedrecError(f"{line}: {name!r} is not in {path}; add it there, or remove that file")
    lines[:, columns] = np.array([row_of[name] for name in names], dtype=np.int32)[lines[:, columns]]
    return sorted(row_of, key=row_of.__getitem__)


def _read_dict(path: Path) -> dict[str, int]:
    r"""Return name -> row of the lines ``row\tname``; the rows are 0, 1, 2, ... in any order.

    A name that no triple has need not be a ``Type::id``: LLaDR's own files number their header's words too.
    """
    row_of: dict[str, int] = {}
    lines: dict[int, int] = {}
    for line, text in text_lines(path):
        number, _, name = text.removesuffix("\r").partition("\t")
        if not number.isdecimal() or not name:
            raise KedrecError(f"{path}, line {line}: expected a row and a name, tab-separated, such as '0\\tGene::1'")
        if name in row_of:
            raise KedrecError(f"{path}, line {line}: {name!r} is on line {lines[row_of[name]]} too; remove one")
        if (row := int(number)) in lines:
            raise KedrecError(f"{path}, line {line}: row {row} is on line {lines[row]} too; number the rows anew")
        row_of[name] = row
        lines[row] = line
    for row, line in lines.items():
        if row >= len(row_of):
            raise KedrecError(
                f"{path}, line {line}: row {row} in a file of {len(row_of)} lines; expected rows 0 to "
                f"{len(row_of) - 1} without a gap"
            )
    return row_of
