"""Reads DRKG, the Drug Repurposing Knowledge Graph: downloads it or takes a local file, checks it, and stores it.

Source: Ioannidis et al. 2020, https://github.com/gnn4dr/DRKG. The archive holds ``drkg.tsv`` (head, relation, tail).
The embeddings and notes in it are not used.
"""

import gzip
import json
import logging
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.http.client import Progress, Web
from kedrec.sources.http.responses import shown, without_secrets
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import line_blocks
from kedrec.storage.hashing import Key, file_hash

log = logging.getLogger(__name__)

URL = "https://dgl-data.s3-us-west-2.amazonaws.com/dataset/DRKG/drkg.tar.gz"
BYTES = 217_000_000  # approximate size of the official archive
COUNTS = {"triples": 5_874_261, "entities": 97_238, "relations": 107}
KIND = "drkg"  # kind of the artefact in the store
FORMAT = 1  # raise when the files in the store change

_MEMBER = "drkg.tsv"
_TABLES = (".tsv", ".tsv.gz", ".tsv.zst")
_BLOCK = 1 << 22  # bytes
_DAMAGE = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)


def drkg_triples(
    store: Store,
    source: str | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    web: Web | None = None,
) -> Path:
    """Return DRKG's triples as a file that `kedrec.graph.knowledge_graph.load_graph` reads.

    An interrupted download is resumed, also by another process. The archive itself is deleted afterwards;
    `drkg_facts` returns its hash.

    Args:
        store: keeps the triples, as ``triples.tsv.zst``.
        source: address of a mirror, or a local file: the archive, or ``drkg.tsv``, plain, ``.gz`` or ``.zst``;
            ``None`` for the official archive.
        sha256: expected SHA-256 of that file, in hex.
        progress: called with the bytes downloaded so far and the total.
        web: HTTP client; ``None`` for a new one.

    Raises:
        KedrecError: the download fails; the file is damaged, cut short or not DRKG; or its counts differ from DRKG's
            and neither ``sha256`` nor a local path confirms the file. The store is then unchanged.
    """
    key = drkg_key(source, sha256)

    def build(folder: Path) -> None:
        facts = folder / "facts.json"
        if not facts.is_file():  # this file is written last
            write_atomic(facts, json.dumps(_prepare(folder, source, sha256, progress, web), indent=1))
        for leftover in folder.glob("source.*"):
            leftover.unlink()

    folder = store.get(KIND, key, build, resumable=True)
    path = folder / "triples.tsv.zst"
    if warning := drkg_facts(path)["warning"]:
        log.warning("%s", warning)
    return path


def drkg_facts(triples: Path) -> dict[str, Any]:
    """Return facts about a file that `drkg_triples` returned.

    Returns:
        ``source``, ``sha256`` (of the source), ``triples``, ``entities``, ``relations`` (counts), and ``warning``: one
        line if the counts differ from the official archive's, else ``""``.
    """
    facts: dict[str, Any] = json.loads((triples.parent / "facts.json").read_text(encoding="utf-8"))
    return facts


def drkg_key(source: str | None = None, sha256: str | None = None) -> Key:
    """Return the store key of DRKG's artefact, of kind `KIND`; a preparation plan looks it up with `Store.holds`.

    Raises:
        KedrecError: the local file does not exist, or its hash is not ``sha256``.
    """
    named = sha256.lower() if sha256 else None
    if source is None or _is_address(source):
        return {"source": without_secrets(source or URL), "sha256": named, "format": FORMAT}
    path = Path(source)
    if not path.is_file():
        raise KedrecError(f"{path}: no such file; expected DRKG's archive drkg.tar.gz, or drkg.tsv from it")
    found = file_hash(path)
    if named not in (None, found):
        raise KedrecError(f"{path}: its SHA-256 is {found}, expected {named}; download it again, or correct the hash")
    return {"file": found, "packed": _ending(path.name), "format": FORMAT}


def _is_address(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def _prepare(
    folder: Path, source: str | None, sha256: str | None, progress: Progress | None, web: Web | None
) -> dict[str, Any]:
    """Write the compressed triples into ``folder``; return the facts."""
    local = source is not None and not _is_address(source)
    label = source if source is not None and local else shown(source or URL)
    if source is not None and local:
        file = Path(source)
    else:
        address = source or URL
        file = folder / f"source{_ending(shown(address))}"
        starts = b"\x1f\x8b" if file.suffix in (".gz", ".tgz") else b""
        if not file.is_file():
            (web or Web()).download(address, file, sha256=sha256, starts=starts, progress=progress)
    try:
        counts = _pack(file, label, folder / "triples.tsv.zst")
        warning = _compare(counts, label, known=local or sha256 is not None)
    except KedrecError:
        if not local:
            file.unlink()  # otherwise the next start would read the damaged file again
        (folder / "triples.tsv.zst").unlink(missing_ok=True)
        raise
    return {"source": label, "sha256": file_hash(file), **counts, "warning": warning}


def _ending(name: str) -> str:
    """Return the ending of a file's name that says how it is compressed; ``.tar.gz`` if it has none of these."""
    return next((end for end in (".tgz", *_TABLES) if name.endswith(end)), ".tar.gz")


def _compare(counts: dict[str, int], label: str, *, known: bool) -> str:
    """Return one line on how the counts differ from the official ones; empty if they do not."""
    if counts == COUNTS:
        return ""
    found, official = (", ".join(f"{count:,} {name}" for name, count in many.items()) for many in (counts, COUNTS))
    difference = f"{label}: it has {found}, but DRKG has {official}"
    if not known:
        raise KedrecError(f"{difference}; to use this file anyway, give its SHA-256 or a local path")
    return difference


def _pack(file: Path, label: str, path: Path) -> dict[str, int]:
    """Check each line of a source, write the compressed triples to ``path``, and return the counts."""
    archive = _ending(file.name) in (".tar.gz", ".tgz")
    partial = path.with_name(f".{path.name}.partial")
    seen = _Seen()
    try:
        with partial.open("wb") as handle:
            with zstandard.ZstdCompressor(level=6).stream_writer(handle, closefd=False) as packed:
                for block in _archive_blocks(file, label) if archive else line_blocks(file, _BLOCK):
                    seen.add(block, label)
                    packed.write(block)
            os.fsync(handle.fileno())
        if not seen.triples:
            raise KedrecError(f"{label}: it holds no triples; expected DRKG's drkg.tar.gz, or drkg.tsv from it")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return {"triples": seen.triples, "entities": len(seen.entities), "relations": len(seen.relations)}


@dataclass
class _Seen:
    """Counts of the triples, entities and relations read so far."""

    triples: int = 0
    entities: set[bytes] = field(default_factory=set)
    relations: set[bytes] = field(default_factory=set)

    def add(self, block: bytes, label: str) -> None:
        """Count the lines of a block of whole lines."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            self.triples += 1
            fields = line.removesuffix(b"\r").split(b"\t")
            if len(fields) != 3:
                raise KedrecError(
                    f"{label}, line {self.triples:,} of the triples: {len(fields)} columns, expected 3 separated "
                    "by tabs: head, relation, tail; this is not DRKG"
                )
            self.entities.update(fields[::2])
            self.relations.add(fields[1])


def _archive_blocks(file: Path, label: str) -> Iterator[bytes]:
    """Yield the triples of a gzipped tar in blocks of whole lines; names in the archive are never used as paths."""
    found = False
    try:
        with gzip.open(file) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                # The whole file name is compared: the official archive also holds "._drkg.tsv", written by macOS.
                if not found and member.isreg() and PurePosixPath(member.name).name == _MEMBER:
                    found = True
                    stream = archive.extractfile(member)
                    assert stream is not None
                    yield from _whole_lines(stream)
            while unpacked.read(_BLOCK):  # read to the end, where the checksum is
                pass
    except _DAMAGE as fault:
        raise KedrecError(f"{label}: the archive is damaged or cut short ({fault}); download it again") from fault
    if not found:
        raise KedrecError(f"{label}: the archive holds no {_MEMBER}; expected DRKG's drkg.tar.gz")


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_BLOCK):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
        rest = chunk[end:] if end else rest + chunk
    if rest:
        yield rest
