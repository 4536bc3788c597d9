"""Reads names, synonyms and descriptions of entities from a TSV file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import is_entity
from kedrec.storage.compressed_text import find_beside, line_blocks

HEADER = ("entity", "name", "synonyms", "description")


@dataclass(frozen=True)
class EntityInfo:
    """Names and description of an entity.

    Attributes:
        name: the preferred name; empty if the source has none.
        synonyms: other names, in the file's order, without empty ones.
        description: text from the source; empty if it has none.
    """

    name: str
    synonyms: tuple[str, ...]
    description: str


def find_entities_file(graph_path: str | Path) -> Path | None:
    """Return ``entities.tsv[.gz|.zst]`` in the graph's folder, or beside the graph's file; ``None`` if absent."""
    path = Path(graph_path)
    return find_beside(path if path.is_dir() else path.parent, ("entities.tsv",))


def load_entity_info(path: str | Path) -> dict[str, EntityInfo]:
    r"""Read a TSV (plain, .gz, .zst) with the header ``entity\tname\tsynonyms\tdescription``.

    Synonyms are separated by ``|``.

    Returns:
        Entity id to its names and description, in the file's order.

    Raises:
        KedrecError: the file is missing, damaged or not UTF-8; the header or the number of columns is wrong; an entity
            is not ``Type::id`` or occurs twice. The message names file and line.
    """
    path = Path(path)
    infos: dict[str, EntityInfo] = {}
    for number, fields in _rows(path):
        if number == 1:
            if tuple(fields) != HEADER:
                raise KedrecError(f"{path}, line 1: expected the header {' '.join(HEADER)!r}, separated by tabs")
            continue
        if len(fields) != len(HEADER):
            raise KedrecError(
                f"{path}, line {number}: {len(fields)} columns, expected {len(HEADER)}: {', '.join(HEADER)}"
            )
        entity, name, synonyms, description = fields
        if not is_entity(entity):
            raise KedrecError(f"{path}, line {number}: {entity!r} is not an entity id; expected Type::id")
        if entity in infos:
            raise KedrecError(f"{path}, line {number}: {entity!r} occurs a second time; keep one line for each entity")
        infos[entity] = EntityInfo(name, tuple(filter(None, synonyms.split("|"))), description)
    if not infos:
        raise KedrecError(f"{path}: it holds no entities; expected a header and one line for each entity")
    return infos


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for block in line_blocks(path):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            try:
                yield number, line.removesuffix(b"\r").decode().split("\t")
            except UnicodeDecodeError as fault:
                raise KedrecError(f"{path}, line {number}: not UTF-8 ({fault.reason}); convert the file") from fault
