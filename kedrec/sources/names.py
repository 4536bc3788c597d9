"""Names, synonyms and descriptions of entities, and the line reader that the graph's TSV files share with them."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from kedrec.errors import KedrecError

ENDINGS = ("", ".gz", ".zst")
HEADER = ("entity", "name", "synonyms", "description")


@dataclass(frozen=True)
class EntityInfo:
    """What people call an entity.

    Attributes:
        name: the preferred name; empty where the source has none.
        synonyms: other names, in the file's order, without empty ones.
        description: prose from the source; empty where it has none.
    """

    name: str
    synonyms: tuple[str, ...]
    description: str


def line_blocks(path: Path, size: int = 1 << 25) -> Iterator[bytes]:
    """Yield a plain, gzip (``.gz``) or Zstandard (``.zst``) file's content in blocks that end with a whole line.

    A byte order mark at the start is dropped.

    Args:
        path: the file; its ending tells the compression.
        size: about so many bytes a block.

    Raises:
        KedrecError: the file is missing, cannot be read, or is not a whole compressed file.
    """
    rest = b""
    first = True
    try:
        with path.open("rb") as handle:
            for chunk in _chunks(path, handle, size):
                if first:
                    chunk = chunk.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
                    first = False
                end = chunk.rfind(b"\n") + 1
                if end:
                    yield rest + chunk[:end]
                    rest = chunk[end:]
                else:
                    rest += chunk
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file") from fault
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as fault:
        raise KedrecError(f"{path}: the compressed file is damaged or cut short ({fault}); fetch it again") from fault
    except (PermissionError, IsADirectoryError) as fault:
        raise KedrecError(f"{path}: cannot be read ({fault.strerror})") from fault
    if rest:
        yield rest


def _chunks(path: Path, handle: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield decompressed chunks of about ``size`` bytes."""
    if path.suffix == ".zst":
        yield from _zstd_chunks(handle, size)
        return
    with gzip.open(handle) if path.suffix == ".gz" else handle as stream:
        while chunk := stream.read(size):
            yield chunk


def _zstd_chunks(handle: BinaryIO, size: int) -> Iterator[bytes]:
    """Decompress frame by frame: zstandard's own stream reader takes a file cut short for a whole one."""
    held: list[bytes] = []
    length = 0
    frame = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    while data := handle.read(1 << 16):
        while data:
            begun = True
            piece = frame.decompress(data)
            held.append(piece)
            length += len(piece)
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame, begun = zstandard.ZstdDecompressor().decompressobj(), False
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if begun:
        raise EOFError("it ends in the middle of a frame")
    if length:
        yield b"".join(held)


def find_beside(place: Path, stems: tuple[str, ...]) -> Path | None:
    """Return the first of ``stem[.gz|.zst]`` in the folder ``place``, or ``None``."""
    return next((path for stem in stems for end in ENDINGS if (path := place / f"{stem}{end}").is_file()), None)


def find_entities_file(graph_path: str | Path) -> Path | None:
    """Return ``entities.tsv[.gz|.zst]`` in the graph's folder, or beside the graph's file; ``None`` without one."""
    path = Path(graph_path)
    return find_beside(path if path.is_dir() else path.parent, ("entities.tsv",))


def load_entity_info(path: str | Path) -> dict[str, EntityInfo]:
    r"""Read a TSV (plain, .gz, .zst) with the header ``entity\tname\tsynonyms\tdescription``.

    Synonyms are separated by ``|``. The names of the result are entity ids, in the file's order.

    Raises:
        KedrecError: a missing or damaged file, another header, a wrong column count, an entity that is not
            ``Type::id`` or comes twice, bytes that are not UTF-8; with the file and the line.
    """
    path = Path(path)
    infos: dict[str, EntityInfo] = {}
    for number, fields in _rows(path):
        if number == 1:
            if tuple(fields) != HEADER:
                raise KedrecError(f"{path}, line 1: the header must be {' '.join(HEADER)!r}, tab-separated")
            continue
        if len(fields) != len(HEADER):
            raise KedrecError(f"{path}, line {number}: {len(fields)} columns, expected {len(HEADER)} ({HEADER})")
        entity, name, synonyms, description = fields
        if not is_entity(entity):
            raise KedrecError(f"{path}, line {number}: {entity!r} is not an entity; expected Type::id")
        if entity in infos:
            raise KedrecError(f"{path}, line {number}: {entity!r} comes a second time; keep one line for each entity")
        infos[entity] = EntityInfo(name, tuple(filter(None, synonyms.split("|"))), description)
    if not infos:
        raise KedrecError(f"{path}: no entities in it; expected a header and one line for each entity")
    return infos


def is_entity(text: str) -> bool:
    """Whether ``text`` is ``Type::id`` with both parts there; DRKG's one blank id, ``Gene::``, passes too."""
    kind, _, identifier = text.partition("::")
    return bool(kind.strip() and identifier.strip()) or text == "Gene::"


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for block in line_blocks(path):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            try:
                yield number, line.removesuffix(b"\r").decode().split("\t")
            except UnicodeDecodeError as fault:
                raise KedrecError(f"{path}, line {number}: not UTF-8 ({fault.reason}); convert the file") from fault
