"""DRKG, the Drug Repurposing Knowledge Graph: fetched or taken from a local file, checked, and packed in the store.

Ioannidis et al. 2020, https://github.com/gnn4dr/DRKG. The archive holds ``drkg.tsv`` (head, relation, tail), and
embeddings and notes that are not used.
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
BYTES = 217_000_000  # of the official archive, about
COUNTS = {"triples": 5_874_261, "entities": 97_238, "relations": 107}
KIND = "drkg"  # of the artefact
FORMAT = 1  # of the files in the store; a change of theirs needs another number

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

    A download that was stopped goes on, also in another process. The archive itself is not kept: the triples are what
    it is fetched for, and `drkg_facts` names its hash.

    Args:
        store: where the triples are kept, as ``triples.tsv.zst``.
        source: the address of a mirror, or a local file: the archive, or the ``drkg.tsv`` in it, plain, ``.gz`` or
            ``.zst``; ``None`` takes the official archive.
        sha256: of that file, in hex.
        progress: told the bytes of the download so far and in all.
        web: what to fetch with.

    Raises:
        KedrecError: nothing can be fetched, the file is damaged, cut short or not DRKG, or its counts are not DRKG's
            and neither a ``sha256`` nor a local path says that this very file is meant. Nothing is then in the store.
    """
    key = drkg_key(source, sha256)

    def build(folder: Path) -> None:
        facts = folder / "facts.json"
        if not facts.is_file():  # it is written last
            write_atomic(facts, json.dumps(_prepare(folder, source, sha256, progress, web), indent=1))
        for leftover in folder.glob("source.*"):
            leftover.unlink()

    folder = store.get(KIND, key, build, resumable=True)
    place = folder / "triples.tsv.zst"
    if warning := drkg_facts(place)["warning"]:
        log.warning("%s", warning)
    return place


def drkg_facts(triples: Path) -> dict[str, Any]:
    """Return what is known of a file that `drkg_triples` returned.

    Returns:
        ``source``, ``sha256`` (of the source), ``triples``, ``entities``, ``relations`` (counts), and ``warning``: one
        line where they are not the official archive's, else ``""``.
    """
    facts: dict[str, Any] = json.loads((triples.parent / "facts.json").read_text(encoding="utf-8"))
    return facts


def drkg_key(source: str | None = None, sha256: str | None = None) -> Key:
    """Return what names DRKG's artefact, of kind `KIND`, in a store: for a plan that asks `Store.holds`.

    Raises:
        KedrecError: there is no such local file, or its hash is not ``sha256``.
    """
    named = sha256.lower() if sha256 else None
    if source is None or _is_address(source):
        return {"source": without_secrets(source or URL), "sha256": named, "format": FORMAT}
    path = Path(source)
    if not path.is_file():
        raise KedrecError(f"{path}: no such file; expected DRKG's archive, drkg.tar.gz, or the drkg.tsv that is in it")
    found = file_hash(path)
    if named not in (None, found):
        raise KedrecError(f"{path}: the file has the SHA-256 {found}, not {named}; fetch it again or correct the hash")
    return {"file": found, "packed": _ending(path.name), "format": FORMAT}


def _is_address(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def _prepare(
    folder: Path, source: str | None, sha256: str | None, progress: Progress | None, web: Web | None
) -> dict[str, Any]:
    """Leave the packed triples in ``folder``; return the facts."""
    local = source is not None and not _is_address(source)
    told = source if source is not None and local else shown(source or URL)
    if source is not None and local:
        file = Path(source)
    else:
        address = source or URL
        file = folder / f"source{_ending(shown(address))}"
        starts = b"\x1f\x8b" if file.suffix in (".gz", ".tgz") else b""
        if not file.is_file():
            (web or Web()).download(address, file, sha256=sha256, starts=starts, progress=progress)
    try:
        counts = _pack(file, told, folder / "triples.tsv.zst")
        warning = _compare(counts, told, known=local or sha256 is not None)
    except KedrecError:
        if not local:
            file.unlink()  # the next start would find it damaged again
        (folder / "triples.tsv.zst").unlink(missing_ok=True)
        raise
    return {"source": told, "sha256": file_hash(file), **counts, "warning": warning}


def _ending(name: str) -> str:
    """Return how a file's name says that it is packed; an archive where it says nothing."""
    return next((end for end in (".tgz", *_TABLES) if name.endswith(end)), ".tar.gz")


def _compare(counts: dict[str, int], told: str, *, known: bool) -> str:
    """Return one line that tells how the counts differ from the official ones, or an empty text."""
    if counts == COUNTS:
        return ""
    found, official = (", ".join(f"{count:,} {name}" for name, count in many.items()) for many in (counts, COUNTS))
    told = f"{told}: {found}, while DRKG has {official}"
    if not known:
        raise KedrecError(f"{told}; if this very file is meant, give its SHA-256 or name it as a local file")
    return told


def _pack(file: Path, told: str, place: Path) -> dict[str, int]:
    """Check each line of a source, write the packed triples to ``place``, and return the counts."""
    archive = _ending(file.name) in (".tar.gz", ".tgz")
    partial = place.with_name(f".{place.name}.partial")
    seen = _Seen()
    try:
        with partial.open("wb") as handle:
            with zstandard.ZstdCompressor(level=6).stream_writer(handle, closefd=False) as packed:
                for block in _archive_blocks(file, told) if archive else line_blocks(file, _BLOCK):
                    seen.add(block, told)
                    packed.write(block)
            os.fsync(handle.fileno())
        if not seen.triples:
            raise KedrecError(f"{told}: there are no triples in it; expected DRKG's drkg.tar.gz, or the drkg.tsv in it")
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return {"triples": seen.triples, "entities": len(seen.entities), "relations": len(seen.relations)}


@dataclass
class _Seen:
    """What has been seen of a graph so far."""

    triples: int = 0
    entities: set[bytes] = field(default_factory=set)
    relations: set[bytes] = field(default_factory=set)

    def add(self, block: bytes, told: str) -> None:
        """Count the lines of a block of whole lines."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            self.triples += 1
            fields = line.removesuffix(b"\r").split(b"\t")
            if len(fields) != 3:
                raise KedrecError(
                    f"{told}, line {self.triples:,} of the triples: {len(fields)} column(s), expected 3: head, "
                    "relation, tail, tab-separated; this is not DRKG"
                )
            self.entities.update(fields[::2])
            self.relations.add(fields[1])


def _archive_blocks(file: Path, told: str) -> Iterator[bytes]:
    """Yield the triples of a gzipped tar in blocks of whole lines; no name in the archive is ever used as a path."""
    found = False
    try:
        with gzip.open(file) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                # Its name must be the whole last part: the official archive also holds a "._drkg.tsv" of macOS.
                if not found and member.isreg() and PurePosixPath(member.name).name == _MEMBER:
                    found = True
                    stream = archive.extractfile(member)
                    assert stream is not None
                    yield from _whole_lines(stream)
            while unpacked.read(_BLOCK):  # the checksum stands at the end
                pass
    except _DAMAGE as fault:
        raise KedrecError(f"{told}: the archive is damaged or cut short ({fault}); fetch it again") from fault
    if not found:
        raise KedrecError(f"{told}: there is no {_MEMBER} in the archive; expected DRKG's drkg.tar.gz")


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_BLOCK):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
        rest = chunk[end:] if end else rest + chunk
    if rest:
        yield rest
