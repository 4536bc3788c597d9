"""A graph that its authors have split: train.txt, valid.txt, test.txt and maybe the .dict files of RotatE and LLaDR."""

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

FORMAT = 1  # of the files in the store; a change of theirs needs another number
# A triple of several files belongs to the first: nothing asked was trained on, and validation has seen nothing tested.
PARTS = {"train": "train.txt", "test": "test.txt", "validation": "valid.txt"}
DICTS = {"entities": "entities.dict", "relations": "relations.dict"}


def is_split_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder with a ``train.txt``, plain, ``.gz`` or ``.zst``."""
    return find_beside(Path(path), (PARTS["train"],)) is not None


def load_split(path: str | Path, store: Store) -> tuple[KnowledgeGraph, TriplePartition]:
    r"""Load a split graph, parsed once and then read from the store.

    Each file is plain, ``.gz`` or ``.zst``. ``train.txt``, ``valid.txt`` (may be empty) and ``test.txt`` are headerless
    TSVs of head, relation, tail. ``entities.dict`` and ``relations.dict``, lines of ``row\tname``, may be there and
    then number the rows; names that no triple has are kept. Without them rows are in order of first appearance in
    train, test, valid. A triple that a file repeats counts once; one that an earlier of these files has is not asked.

    Args:
        path: the folder.
        store: where the parsed arrays are kept, under the hashes of the files' bytes.

    Returns:
        The graph of all triples, those of the training first, and the split with the one test set "test".

    Raises:
        KedrecError: a file is missing, empty or damaged, has a bad line as ``load_graph`` defines it, or a dict lacks
            or repeats a name or leaves gaps between rows, with the file and the line; or nothing is left to ask.
    """
    folder = Path(path)
    parts = {part: _find(folder, name) for part, name in PARTS.items()}
    dicts = {kind: file for kind, name in DICTS.items() if (file := find_beside(folder, (name,)))}
    key = {"files": {name: remembered_hash(file, store) for name, file in (parts | dicts).items()}, "format": FORMAT}
    place = store.get("split", key, lambda place: _parse_into(parts, dicts, place))
    graph = read_graph(place, hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest())
    counts = json.loads((place / "parts.json").read_text(encoding="utf-8"))
    for part, repeated in counts["repeated"].items():
        if repeated:
            log.warning("%s: %d triple(s) are not asked, since another part has them too", parts[part], repeated)
    ends = np.cumsum([counts["kept"]["train"], counts["kept"]["test"]])
    train, test, validation = np.split(graph.triples, ends)
    split = TriplePartition(train, validation, {"test": test}, sum(counts["repeated"].values()))
    log.info("%s: %s", folder, split)
    return graph, split


def _find(folder: Path, name: str) -> Path:
    if found := find_beside(folder, (name,)):
        return found
    looked_for = ", ".join(f"{name}{end}" for end in ENDINGS)
    raise KedrecError(
        f"{folder}: looked for {looked_for} and found none; expected a folder with train.txt, test.txt and valid.txt, "
        "which is empty where there is no validation"
    )


def _parse_into(parts: Mapping[str, Path], dicts: Mapping[str, Path], place: Path) -> None:
    """Parse the files and leave the graph in the folder ``place``, with how many triples each part keeps."""
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
    distinct = write_graph(place, lines, entities, relations)
    packed = pack_triples(lines, len(entities), len(relations))
    own = np.split(np.arange(len(lines)), np.cumsum(lengths)[:-1])
    kept = {part: int(distinct[rows].sum()) for part, rows in zip(parts, own, strict=True)}
    told = {part: pl.Series(packed[rows]).n_unique() for part, rows in zip(parts, own, strict=True)}
    if not kept["test"]:
        raise KedrecError(f"{parts['test']}: {parts['train']} has each of its triples too; hold some out of training")
    counts = {"kept": kept, "repeated": {part: told[part] - kept[part] for part in parts}}
    (place / "parts.json").write_text(json.dumps(counts), encoding="utf-8")


def _renumber(
    lines: npt.NDArray[np.int32],
    columns: list[int],
    names: list[str],
    path: Path,
    sources: list[Path],
    lengths: list[int],
) -> list[str]:
    """Give the names in some columns of ``lines``, ``(n, 3)``, the rows of a dict; return the dict's names by row."""
    from kedrec.graph.triple_parsing import place_of

    row_of = _read_dict(path)
    for row, name in enumerate(names):
        if name not in row_of:
            place = place_of(int((lines[:, columns] == row).any(axis=1).argmax()), sources, lengths)
            raise KedrecError(f"{place}: {name!r} is not in {path}; add it there, or remove that file")
    lines[:, columns] = np.array([row_of[name] for name in names], dtype=np.int32)[lines[:, columns]]
    return sorted(row_of, key=row_of.__getitem__)


def _read_dict(path: Path) -> dict[str, int]:
    r"""Return name -> row of the lines ``row\tname``; the rows are 0, 1, 2, ... in any order.

    A name may be no ``Type::id`` as long as no triple has it: LLaDR's own files number their header's words too.
    """
    row_of: dict[str, int] = {}
    line_of: dict[int, int] = {}
    for line, text in text_lines(path):
        number, _, name = text.removesuffix("\r").partition("\t")
        if not number.isdecimal() or not name:
            raise KedrecError(f"{path}, line {line}: expected a row and a name, tab-separated, such as '0\\tGene::1'")
        if name in row_of:
            raise KedrecError(f"{path}, line {line}: {name!r} is on line {line_of[row_of[name]]} too; keep one of them")
        if (row := int(number)) in line_of:
            raise KedrecError(f"{path}, line {line}: row {row} is on line {line_of[row]} too; number the rows anew")
        row_of[name] = row
        line_of[row] = line
    for row, line in line_of.items():
        if row >= len(row_of):
            raise KedrecError(
                f"{path}, line {line}: row {row} of a file of {len(row_of)} lines; expected rows 0 to "
                f"{len(row_of) - 1} without a gap"
            )
    return row_of
