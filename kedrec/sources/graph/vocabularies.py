"""Downloads open vocabularies, or takes local files, and writes the names of DRKG's entities from them."""

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import split_id
from kedrec.sources.graph.entity_names import HEADER, EntityInfo
from kedrec.sources.graph.open_vocabularies import VOCABULARIES, Vocabulary, find_vocabulary
from kedrec.sources.http.client import Progress, Web
from kedrec.sources.http.responses import shown, without_secrets
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import line_blocks
from kedrec.storage.hashing import Key, file_hash

KIND = "vocabulary"  # kind of the artefact in the store

_MAGIC = {".gz": b"\x1f\x8b", ".zip": b"PK", ".zst": b"\x28\xb5\x2f\xfd"}


def vocabulary_file(
    name: str,
    store: Store,
    source: str | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    web: Web | None = None,
) -> Path:
    """Return the file of a vocabulary, downloaded once; an interrupted download is resumed.

    Args:
        name: one of `VOCABULARIES`.
        store: keeps a downloaded file.
        source: another address, or a local file; ``None`` for the official address.
        sha256: expected SHA-256 of the file, in hex.
        progress: called with the bytes downloaded so far and the total.
        web: HTTP client; ``None`` for a new one.

    Raises:
        KedrecError: the vocabulary is unknown, the user has to download it, the download fails, or the file is damaged;
            the store is then unchanged.
    """
    vocabulary = find_vocabulary(name)
    if source is not None and not source.startswith(("https://", "http://")):
        return _local(Path(source), sha256)
    url = source or vocabulary.url
    host = (urlsplit(url).hostname or "") if url else ""
    if url is None or host == "drugbank.com" or host.endswith(".drugbank.com"):
        page = vocabulary.page or VOCABULARIES["drugbank"].page
        raise KedrecError(
            f"{vocabulary.title}: kedrec may not download it; get it from {page} and give the path of the file"
        )
    file = re.sub(r"[^\w.-]", "_", urlsplit(url).path.rpartition("/")[2]).lstrip(".") or "vocabulary"

    def build(folder: Path) -> None:
        file_path = folder / file
        if not file_path.is_file():
            starts = _MAGIC.get(file_path.suffix, b"")
            (web or Web()).download(url, file_path, sha256=sha256, starts=starts, progress=progress)
        try:
            _check(vocabulary, file_path)
        except KedrecError as fault:
            file_path.unlink()  # otherwise the next start would read the damaged file again
            raise KedrecError(f"{shown(url)}: {str(fault).replace(str(file_path), file)}") from fault

    return store.get(KIND, vocabulary_key(name, url, sha256), build, resumable=True) / file


def vocabulary_key(name: str, source: str | None = None, sha256: str | None = None) -> Key:
    """Return the store key of a vocabulary, of kind `KIND`; a preparation plan looks it up with `Store.holds`."""
    url = source or find_vocabulary(name).url or ""
    return {"vocabulary": name, "source": without_secrets(url), "sha256": sha256.lower() if sha256 else None}


def build_entities(entities: Iterable[str], vocabularies: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Write the names of entities as `kedrec.sources.graph.entity_names` reads them; list entities without a name.

    Each entity has one line, in the given order, with empty columns if no vocabulary has it. The name is that of the
    first vocabulary that has the entity; later ones add synonyms, and a description if there is none yet. An id that
    joins several (``Gene::5595;5594``) gets all their names, joined by "and".

    Args:
        entities: ids such as ``Compound::DB00945``; duplicates are skipped.
        vocabularies: name in `VOCABULARIES` to file, in order of preference.
        out: the file, ``.tsv``, ``.tsv.gz`` or ``.tsv.zst``; ``unmapped.tsv`` (type, prefix, entity) is written beside
            it.

    Returns:
        Counts: ``entities``, ``named``, ``described``; ``by_vocabulary``, how many names are from each; ``unmapped``,
        type to prefix of the identifier to the number of entities without a name.

    Raises:
        KedrecError: a vocabulary is unknown, or a file cannot be read.
    """
    order = list(dict.fromkeys(entities))
    requested = {part for entity in order for part in _single(entity)}
    found, named_by = _look_up(requested, vocabularies)
    lines = ["\t".join(HEADER)]
    unmapped = ["type\tprefix\tentity"]
    counts: dict[str, Counter[str]] = {}
    described = 0
    for entity in order:
        info = _joined([found.get(part) for part in _single(entity)])
        if info is None:
            kind, prefix = _kind_of(entity)
            unmapped.append(f"{kind}\t{prefix}\t{entity}")
            counts.setdefault(kind, Counter())[prefix] += 1
            lines.append(f"{entity}\t\t\t")
            continue
        described += bool(info.description)
        lines.append("\t".join((entity, info.name, "|".join(info.synonyms), info.description)))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out.with_name("unmapped.tsv"), "".join(f"{line}\n" for line in unmapped))
    _write("".join(f"{line}\n" for line in lines), out)
    return {
        "entities": len(order),
        "named": len(order) - len(unmapped) + 1,
        "described": described,
        "by_vocabulary": named_by,
        "unmapped": {kind: dict(counts[kind].most_common()) for kind in sorted(counts)},
    }


def _local(path: Path, sha256: str | None) -> Path:
    if not path.is_file():
        raise KedrecError(f"{path}: no such file; expected the file of a vocabulary")
    if sha256 is not None and (found := file_hash(path)) != sha256.lower():
        raise KedrecError(f"{path}: its SHA-256 is {found}, expected {sha256}; download it again, or correct the hash")
    return path


def _check(vocabulary: Vocabulary, file_path: Path) -> None:
    """Raise unless a file decompresses to its end and its first record can be read."""
    if next(vocabulary.read(file_path), None) is None:
        raise KedrecError(f"{file_path}: it holds no names")
    if file_path.suffix != ".zip":
        for _ in line_blocks(file_path):
            pass


def _look_up(requested: set[str], vocabularies: Mapping[str, Path]) -> tuple[dict[str, EntityInfo], dict[str, int]]:
    """Return the names of the requested entities, and how many of them each vocabulary was the first to have."""
    found: dict[str, EntityInfo] = {}
    named_by: dict[str, int] = {}
    for name, path in vocabularies.items():
        seen: set[str] = set()
        known = len(found)
        for entity, raw in find_vocabulary(name).entries(path):
            if entity in requested and entity not in seen:
                seen.add(entity)
                info = _merged(found.get(entity), raw)
                if info.name:
                    found[entity] = info
        named_by[name] = len(found) - known
    return found, named_by


def _merged(first: EntityInfo | None, later: EntityInfo) -> EntityInfo:
    """Merge two records for the table: one line, single spaces, no ``|`` in a name, no name twice."""
    if first is None:
        first = EntityInfo(_line(later.name), (), "")
    names = {first.name.replace("|", "/").casefold(): first.name}
    for name in (*first.synonyms, later.name, *later.synonyms):
        line = _line(name).replace("|", "/")
        names.setdefault(line.casefold(), line)
    names.pop("", None)
    return EntityInfo(first.name, tuple(names.values())[1:], first.description or _line(later.description))


def _line(text: str) -> str:
    return " ".join(text.split())


def _single(entity: str) -> list[str]:
    """Split an id that joins several entities: GNBR joins genes by ``;`` and MeSH ids by ``|``."""
    kind, identifier = split_id(entity)
    return [f"{kind}::{part}" for part in re.split("[;|]", identifier)]


def _joined(infos: list[EntityInfo | None]) -> EntityInfo | None:
    known = [info for info in infos if info is not None]
    if len(known) < len(infos):
        return None
    return known[0] if len(known) == 1 else EntityInfo(" and ".join(info.name for info in known), (), "")


def _kind_of(entity: str) -> tuple[str, str]:
    """Return an entity's type and the prefix of its identifier: ``CHEMBL``, ``pubchem``, ``number``."""
    kind, identifier = split_id(entity)
    prefix = re.match(r"[^\d:;|]*", identifier)
    return kind, (prefix[0] if prefix and prefix[0] else "number" if identifier else "blank")


def _write(text: str, out: Path) -> None:
    pack = {".gz": lambda content: gzip.compress(content, mtime=0), ".zst": zstandard.ZstdCompressor(level=10).compress}
    content = pack.get(out.suffix, bytes)(text.encode())
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
